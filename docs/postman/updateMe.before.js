send('GET', '/users/me', { token: pm.collectionVariables.get('accessToken') }, (answer) => {
  if (answer.code === 403) return skip('The token may not read the name that this would write back.');
  if (answer.code !== 200) return giveUp(`Reading the full name: ${refusal(answer)}`);
  // As JSON, null included; a brace in it must not be taken for a variable.
  pm.variables.set('fullName', JSON.stringify(answer.json().full_name).replace(/\{/g, '\\u007b'));
});
