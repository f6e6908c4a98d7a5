/** The style of the `/docs` page. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --back: light-dark(#fbfaf8, #16181c); --card: light-dark(#ffffff, #1e2127); --text: light-dark(#22252b, #dfe2e8);
  --soft: light-dark(#666c78, #98a0ae); --line: light-dark(#e4e1db, #30343d); --link: light-dark(#0b5cad, #7db7f5);
  --get: light-dark(#146c43, #6fcf97); --post: light-dark(#0b5cad, #7db7f5); --put: light-dark(#8a5a00, #e5b567); --delete: light-dark(#a8262f, #f08a90);
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--back); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2rem 0 .6rem; } h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: .85rem; margin: .9rem 0 .3rem; color: var(--soft); font-weight: 600; }
a { color: var(--link); } header a { margin-right: 1rem; } small, header p { color: var(--soft); }
code { font: .92em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.columns { display: grid; grid-template-columns: 8.5rem minmax(0, 1fr); gap: 2rem; }
nav { position: sticky; top: 1rem; align-self: start; margin-top: 2rem; display: grid; gap: .15rem; }
nav a { text-decoration: none; padding: .15rem 0; } nav a:hover { text-decoration: underline; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem 1rem; margin: 0 0 .7rem; }
article p { margin: .35rem 0; } .name small { margin-left: .5rem; }
article:target { border-color: var(--link); }
h3 b { display: inline-block; min-width: 3.9rem; font-size: .8rem; letter-spacing: .04em; }
.get { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); } .delete { color: var(--delete); }
summary { cursor: pointer; color: var(--link); width: fit-content; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
td { border-top: 1px solid var(--line); padding: .3rem .9rem .3rem 0; vertical-align: top; }
td:first-child { white-space: nowrap; } td:last-child { color: var(--soft); min-width: 12rem; }
@media (max-width: 44rem) { .columns { display: block; } nav { position: static; display: flex; flex-wrap: wrap; gap: .3rem 1rem; } body { padding: 1rem; } }
`;
