export default {
  sesame: {
    input: 'http://127.0.0.1:8080/openapi.yaml',
    output: {
      target: 'sesame.ts',
      client: 'fetch',
      override: { mutator: { path: 'fetcher.ts', name: 'fetcher', extension: '.js' } },
    },
  },
};
