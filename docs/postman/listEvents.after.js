send('POST', '/token/revoke', { form: { token: pm.variables.get('adminToken') } }, (answer) => {
  pm.test('the session of the administrator is ended', () => pm.expect(answer.code).to.equal(200));
});
