if (succeeded) {
  const session = pm.response.json();
  pm.test('its scopes are among those asked for', () => {
    pm.expect(pm.variables.get('scope').split(' ')).to.include.members(session.scope.split(' '));
  });
  keep(session);
} else if (pm.execution) {
  pm.execution.setNextRequest(null); // nothing else can work without a login
}
