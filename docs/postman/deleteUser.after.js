if (!succeeded) { // for want of the scope
  removeGuest(pm.variables.get('guestPassword'));
} else {
  logInAsGuest(pm.variables.get('guestPassword'), (answer) => {
    pm.test('nobody can log in to it any more', () => pm.expect(answer.code).to.equal(400));
  });
}
