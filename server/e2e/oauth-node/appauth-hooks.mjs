// AppAuth-JS is written for a bundler: its imports have no file extensions, which Node wants.
export async function resolve(name, context, next) {
  if (!name.startsWith('.') || /\.m?js$/.test(name)) return next(name, context);
  return next(`${name}.js`, context).catch(() => next(`${name}/index.js`, context));
}
