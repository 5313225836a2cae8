const form = { grant_type: 'refresh_token', refresh_token: pm.variables.get('tokenToRevoke') };
send('POST', '/token', { form }, (answer) => {
  pm.test('the token is dead', () => {
    pm.expect(answer.code).to.equal(400);
    pm.expect(answer.json().error).to.equal('invalid_grant');
  });
});
