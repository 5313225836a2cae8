if (succeeded) {
  pm.test('one of them is the current one', () => {
    const current = pm.response.json().items.filter((session) => session.current);
    pm.expect(current.map((session) => session.id)).to.eql([claims(pm.collectionVariables.get('accessToken')).sid]);
  });
}
