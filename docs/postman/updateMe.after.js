if (succeeded) {
  pm.test('the account has the name that was sent', () => {
    const sent = JSON.parse(pm.variables.replaceIn(pm.request.body.raw));
    pm.expect(pm.response.json().full_name).to.equal(sent.full_name);
  });
}
