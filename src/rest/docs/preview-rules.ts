/** The promises about previews of what runs in sandboxes. As in `rules.ts`, an id is never given to another rule. */
import type { RuleGroup } from './rule-group.ts';

export const PREVIEW_RULES: readonly RuleGroup[] = [
  {
    title: 'Previews',
    rules: {
      'PV-1':
        'What listens on a port of a sandbox is at `<port>-<name>.<host of PREVIEW_URL>`, an origin of its own; the name stays with the project. The address of `sandbox:preview-url` serves once, within 60 s, and is exchanged there for a cookie of 12 h.',
      'PV-2':
        'Every request and every WebSocket is of a member whose session lives, also in a public project; everybody else gets 404, as from a preview that is not there. When access or session ends, what is open ends: at once where the server hears of it, within 10 s in any case.',
      'PV-3':
        "A preview's cookie serves pages of the same project only, on whatever port: requests that another site's page or another project's preview sends get 404.",
      'PV-4':
        'A program sees itself on `localhost:<port>` in Host, Origin and Referer, and is told of no other place by X-Forwarded headers, which frameworks compare with the origin. What it says of localhost in redirects, in the allowed origin and in the domain of cookies becomes the preview; its cookies are made to be kept in a frame of another site. Nothing is kept by caches that serve several people.',
      'PV-5':
        'Where nobody listens (502), no sandbox runs, or the one that runs does not answer, as while another server takes it over (503), a browser gets a page that says so and asks again by itself.',
      'PV-6':
        'A preview works in a frame of another site and in a tab, each by an address of its own, with the hot reload of stock development servers.',
      'PV-7':
        "A preview is the same at every server of the deployment, wherever the project's sandbox runs: for programs that listen on 127.0.0.1 or on ::1, when they come, go and come again.",
    },
  },
];
