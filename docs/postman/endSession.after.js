const token = pm.variables.get('tokenOfSessionToEnd');
if (succeeded) {
  send('GET', '/users/me', { token }, (answer) => {
    pm.test('its token is dead', () => pm.expect(answer.code).to.equal(401));
  });
} else {
  send('POST', '/token/revoke', { form: { token } }, () => {}); // nothing is left behind
}
