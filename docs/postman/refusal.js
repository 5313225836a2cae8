// refusal says why an answer is not the one that was hoped for, in the server's words.
function refusal(answer) {
  try {
    const problem = answer.json();
    return `${answer.code} ${problem.code || problem.error}: ${problem.detail || problem.error_description}`;
  } catch {
    return `${answer.code} ${answer.text()}`;
  }
}
