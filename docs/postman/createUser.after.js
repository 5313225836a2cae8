if (succeeded) {
  const user = pm.response.json();
  pm.test('a new account is enabled, and its address is not confirmed', () => {
    pm.expect(user.disabled).to.equal(false);
    pm.expect(user.email_verified).to.equal(false);
  });
  // Another name was written into the request by somebody who wants the account.
  if (user.username === pm.variables.get('guestName')) removeGuest(pm.variables.get('guestPassword'));
}
