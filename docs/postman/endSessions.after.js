send('GET', '/users/me', { token: pm.variables.get('guestToken') }, (answer) => {
  pm.test('the token that ended them is dead too', () => pm.expect(answer.code).to.equal(401));
  removeGuest(pm.variables.get('guestPassword'));
});
