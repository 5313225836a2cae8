send('GET', '/users/me', { token: pm.variables.get('guestToken') }, (answer) => {
  pm.test('until the code is used, nothing has changed', () => pm.expect(answer.json().email).to.equal(null));
  removeGuest(pm.variables.get('guestPassword'));
});
