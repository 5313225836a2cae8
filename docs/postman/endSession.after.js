send('GET', '/users/me', { token: pm.variables.get('tokenOfSessionToEnd') }, (answer) => {
  pm.test('its token is dead', () => pm.expect(answer.code).to.equal(401));
});
