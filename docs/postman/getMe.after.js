if (succeeded) {
  pm.test('it is the account that the token names', () => {
    pm.expect(pm.response.json().id).to.equal(claims(pm.collectionVariables.get('accessToken')).sub);
  });
}
