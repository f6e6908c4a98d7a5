/** The language that a path suggests, by the names that editors use. Isomorphic. */

const BY_EXTENSION: Record<string, string> = Object.fromEntries(
  Object.entries({
    typescript: 'ts tsx mts cts',
    javascript: 'js jsx mjs cjs',
    html: 'html htm xhtml',
    vue: 'vue',
    svelte: 'svelte',
    css: 'css',
    scss: 'scss',
    sass: 'sass',
    less: 'less',
    json: 'json jsonc json5 map webmanifest',
    markdown: 'md markdown mdx',
    yaml: 'yaml yml',
    toml: 'toml',
    ini: 'ini cfg conf env properties editorconfig npmrc',
    xml: 'xml svg xsd xsl plist',
    python: 'py pyi pyw',
    ruby: 'rb rake gemspec',
    php: 'php',
    java: 'java',
    kotlin: 'kt kts',
    scala: 'scala sc',
    groovy: 'groovy gradle',
    go: 'go',
    rust: 'rs',
    c: 'c h',
    cpp: 'cc cpp cxx hpp hh hxx',
    csharp: 'cs',
    fsharp: 'fs fsx fsi',
    swift: 'swift',
    dart: 'dart',
    lua: 'lua',
    perl: 'pl pm',
    r: 'r',
    julia: 'jl',
    haskell: 'hs',
    elixir: 'ex exs',
    erlang: 'erl hrl',
    clojure: 'clj cljs cljc edn',
    ocaml: 'ml mli',
    zig: 'zig',
    shell: 'sh bash zsh fish',
    powershell: 'ps1 psm1',
    bat: 'bat cmd',
    sql: 'sql',
    graphql: 'graphql gql',
    protobuf: 'proto',
    handlebars: 'hbs handlebars',
    pug: 'pug jade',
    diff: 'diff patch',
    tex: 'tex',
    csv: 'csv tsv',
  }).flatMap(([language, extensions]) => extensions.split(' ').map((extension) => [extension, language])),
);

/** Files whose whole name says it; their variants (`Dockerfile.dev`, `.env.local`) too. */
const BY_NAME: Record<string, string> = {
  dockerfile: 'dockerfile',
  containerfile: 'dockerfile',
  makefile: 'makefile',
  gnumakefile: 'makefile',
  gemfile: 'ruby',
  rakefile: 'ruby',
  procfile: 'yaml',
  '.env': 'ini',
  '.babelrc': 'json',
  '.eslintrc': 'json',
  '.prettierrc': 'json',
  '.bashrc': 'shell',
  '.zshrc': 'shell',
  '.profile': 'shell',
};

export const PLAIN_TEXT = 'plaintext';

/** What nobody knows is plain text. */
export function languageOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase();
  const whole = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
  if (whole !== undefined) return whole;
  const extension = name.slice(name.lastIndexOf('.') + 1);
  if (name.includes('.') && Object.hasOwn(BY_EXTENSION, extension)) return BY_EXTENSION[extension] ?? PLAIN_TEXT;
  const variant = name.slice(0, name.indexOf('.', 1));
  return (Object.hasOwn(BY_NAME, variant) ? BY_NAME[variant] : undefined) ?? PLAIN_TEXT;
}
