// The plugin that makes the page shorter: it folds the samples of errors, leaves out empty elements, and fills in no value
// that would hide rows of a list.
import { unlink } from './theme.js';

// An error has one row with its description; its sample and headers are behind a button.
const response = (Response, { React }) => {
  const h = React.createElement;
  const isError = (code) => code >= '400' || code === 'default';
  return function Folded(props) {
    const { code, response, className, getComponent } = props;
    const [open, setOpen] = React.useState(false);
    if (!isError(code) || !(response.has('content') || response.has('headers'))) return h(Response, props);
    const Markdown = getComponent('Markdown', true);
    return h(React.Fragment, null,
      h('tr', { className: `response folded ${className}`, 'data-code': code },
        h('td', { className: 'response-col_status' }, code),
        h('td', { className: 'response-col_description' },
          h('div', { className: 'response-col_description__inner' }, h(Markdown, { source: response.get('description') })),
          h('button', { type: 'button', className: 'fold', 'aria-expanded': open, 'aria-label': `Example of ${code}`, onClick: () => setOpen(!open) }, 'Example')),
        h('td', { className: 'response-col_links' })),
      open && h(Response, { ...props, className: `${className} unfolded` }));
  };
};

// An operation that anyone may call has no lock, even if a login allows more.
const summary = (Summary, { React, Im }) => (props) => {
  const { operationProps } = props;
  const security = operationProps.get('security');
  const isOptional = Im.List.isList(security) && security.some((requirement) => requirement.isEmpty());
  return React.createElement(Summary, {
    ...props, operationProps: isOptional ? operationProps.set('security', security.take(0)) : operationProps,
  });
};

// A menu with one item offers no choice.
const servers = (Servers, { React, getSystem }) => (props) => {
  const list = getSystem().specSelectors.servers();
  return list?.size === 1 && !list.first().has('variables') ? null : React.createElement(Servers, props);
};

// A page does not link to itself.
const markdown = (Markdown, { React }) => function Unlinked(props) {
  const ref = React.useRef(null);
  React.useLayoutEffect(() => unlink(ref.current));
  return React.createElement('div', { ref, className: 'prose' }, React.createElement(Markdown, props));
};

// Swagger UI sends the example of a parameter unless it is cleared. An optional parameter of the query is a filter or a
// cursor, so its example would hide rows: it is shown, but not filled in.
const withoutExample = (original) => (state, ...args) => {
  const parameter = original(...args);
  if (parameter.get('in') !== 'query' || parameter.get('required')) return parameter;
  return parameter.delete('example').deleteIn(['schema', 'example']);
};

// Swagger UI shows no extensions, so the description says how the person must have signed in.
const withDemands = (updateJsonSpec) => (contract) => {
  for (const operation of Object.values(contract?.paths ?? {}).flatMap((item) => Object.values(item ?? {}))) {
    const { 'x-requires-acr': acr, 'x-requires-max-age': age } = operation ?? {};
    if (!acr && !age) continue;
    const how = `${acr === '2' ? ' with a second factor' : ''}${age ? ` within the last ${age} seconds` : ''}`;
    operation.description = `${operation.description ?? ''}\n\n**This needs a person who has signed in${how}** (RFC 9470).`;
  }
  return updateJsonSpec(contract);
};

// The fields in which people type have a name for screen readers.
const labelled = (name) => (Field, { React }) => function Labelled(props) {
  const ref = React.useRef(null);
  React.useLayoutEffect(() => {
    for (const field of ref.current.querySelectorAll(':is(input, select, textarea):not([aria-label])')) {
      field.setAttribute('aria-label', name(props));
    }
  });
  return React.createElement('div', { ref }, React.createElement(Field, props));
};

// Swagger UI puts a link into the button that unfolds an operation, where a keyboard stops twice and the link does nothing.
const deepLink = (Link, { React }) => ({ text }) => React.createElement('span', null, text);

export const reading = {
  wrapComponents: {
    response, OperationSummary: summary, ServersContainer: servers, Markdown: markdown, DeepLink: deepLink,
    JsonSchemaForm: labelled(({ description }) => description), RequestBodyEditor: labelled(() => 'Request body'),
    ExamplesSelect: labelled(() => 'Examples'),
  },
  statePlugins: { spec: { wrapSelectors: { parameterWithMetaByIdentity: withoutExample }, wrapActions: { updateJsonSpec: withDemands } } },
};
