if (succeeded) {
  logInAsGuest(pm.variables.get('guestPassword'), (answer) => {
    pm.test('the old password is refused', () => pm.expect(answer.code).to.equal(400));
    removeGuest(pm.variables.get('newPassword'));
  });
} else {
  removeGuest(pm.variables.get('guestPassword'));
}
