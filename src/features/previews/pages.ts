/** What a preview says itself: to people as a page, to programs as a line. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Notice {
  status: number;
  title: string;
  text: string;
  /** A page that asks again by itself. */
  retrySeconds?: number;
}

export const NO_PREVIEW: Notice = {
  status: 404,
  title: 'There is no such preview',
  text: 'Open it again from its project: previews are for its members, and end some hours after they were opened.',
};
export const NOT_RUNNING: Notice = {
  status: 503,
  title: 'The sandbox is not running',
  text: 'Start it in the project. This page asks again by itself.',
  retrySeconds: 3,
};
export const NO_ANSWER_NOW: Notice = {
  status: 503,
  title: 'The sandbox does not answer',
  text: 'It is busy, or another server is about to take it over. This page asks again by itself.',
  retrySeconds: 3,
};
export const TOO_MANY: Notice = {
  status: 503,
  title: 'Too many connections',
  text: 'The previews of this project have as many connections as they may. This page asks again by itself.',
  retrySeconds: 5,
};
export const NOT_NOW: Notice = {
  status: 503,
  title: 'Something went wrong on our side',
  text: 'This page asks again by itself.',
  retrySeconds: 5,
};
export const nobodyListens = (port: number): Notice => ({
  status: 502,
  title: `Nothing listens on port ${port} yet`,
  text: 'Start a server in a terminal of the project. This page asks again by itself.',
  retrySeconds: 2,
});
export const noHttp = (port: number): Notice => ({
  status: 502,
  title: `Port ${port} gave no answer`,
  text: 'What listens there broke off, or does not speak HTTP.',
});

/** Headers of all that a preview says itself: the one-time address must not be kept or told to anybody. */
export const OWN_HEADERS = {
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
};

export function show(request: IncomingMessage, response: ServerResponse, notice: Notice): void {
  const { status, title, text, retrySeconds } = notice;
  const isPage = request.headers.accept?.includes('text/html') ?? false;
  const retry = retrySeconds === undefined ? {} : { 'retry-after': String(retrySeconds) };
  const refresh = retrySeconds === undefined || request.method !== 'GET' ? {} : { refresh: String(retrySeconds) };
  const body = isPage ? pageOf(title, text) : `${title}. ${text}\n`;
  response.writeHead(status, {
    ...OWN_HEADERS,
    ...retry,
    ...(isPage ? refresh : {}),
    'content-type': isPage ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    // What is left of a body is not waited for.
    connection: 'close',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

const pageOf = (title: string, text: string): string =>
  `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
  `<title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;padding:0 1em;` +
  `color:#333;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#222}}</style>` +
  `<h1>${title}</h1><p>${text}</p></html>\n`;
