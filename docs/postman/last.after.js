// The end of a run leaves no session behind. (A request sent by itself is no run: its login is kept.)
if (pm.variables.get('openedInThisRun')) {
  const form = { token: pm.collectionVariables.get('refreshToken') };
  send('POST', '/token/revoke', { form }, (answer) => {
    pm.test('the session of this run is ended', () => pm.expect(answer.code).to.equal(200));
    forget();
  });
}
