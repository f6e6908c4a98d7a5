/** The routes that are no operation's twin, for the documents. */

export interface OtherRoute {
  id: string;
  method: 'get';
  /** OpenAPI path, as `/api/streams/{streamId}`. */
  path: string;
  tag: string;
  summary: string;
  doc: string;
  parameters?: { name: string; in: 'path' | 'query' | 'header'; doc: string }[];
  /** Needs an access token. */
  isUser?: true;
  answers: { status: number; contentType?: string; doc: string }[];
}

const json = 'application/json';

export const OTHER_ROUTES: OtherRoute[] = [
  {
    id: 'stream:resume',
    method: 'get',
    path: '/api/streams/{streamId}',
    tag: 'ai',
    summary: 'Follow a stream from a position',
    doc: 'The rest of an assistant stream as server-sent events. A stream of a chat that the caller is not a member of is not_found.',
    parameters: [
      { name: 'streamId', in: 'path', doc: 'The stream' },
      { name: 'Last-Event-ID', in: 'header', doc: 'The id of the last event seen, `<streamId>:<offset>`' },
      { name: 'offset', in: 'query', doc: 'Without that header: where to begin, in UTF-16 units; 0 if not given' },
    ],
    isUser: true,
    answers: [
      { status: 200, contentType: 'text/event-stream', doc: 'Events started, delta, finished, failed' },
      { status: 204, doc: 'There is nothing (more) to say' },
    ],
  },
  {
    id: 'user:avatar',
    method: 'get',
    path: '/api/users/{id}/avatar',
    tag: 'user',
    summary: "A user's picture",
    doc: 'Needs no token and may be shown by any page; carries an ETag.',
    parameters: [{ name: 'id', in: 'path', doc: 'The user' }],
    answers: [{ status: 200, contentType: 'image/svg+xml', doc: 'The picture' }],
  },
  {
    id: 'server:health',
    method: 'get',
    path: '/health',
    tag: 'server',
    summary: 'How the server and its parts are',
    doc: '`{ status: ok | degraded | down, message, timestamp, parts }`, without the envelope.',
    answers: [
      { status: 200, contentType: json, doc: 'ok or degraded' },
      { status: 503, contentType: json, doc: 'down' },
    ],
  },
  {
    id: 'server:live',
    method: 'get',
    path: '/livez',
    tag: 'server',
    summary: 'Whether the process answers at all',
    doc: 'Asks nothing of the database or any other part.',
    answers: [{ status: 200, contentType: json, doc: 'It does' }],
  },
  {
    id: 'server:ready',
    method: 'get',
    path: '/readyz',
    tag: 'server',
    summary: 'Whether to send it traffic',
    doc: 'Ready means that the database answers and the server is not draining.',
    answers: [
      { status: 200, contentType: json, doc: 'Ready' },
      { status: 503, contentType: json, doc: 'Not ready' },
    ],
  },
  {
    id: 'server:metrics',
    method: 'get',
    path: '/metrics',
    tag: 'server',
    summary: 'Prometheus metrics',
    doc: 'With METRICS_TOKEN set it is wanted as the bearer token; without, only the machine itself may read them.',
    answers: [{ status: 200, contentType: 'text/plain', doc: 'The metrics' }],
  },
];
