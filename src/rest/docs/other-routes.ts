/** The routes that are no operation's twin, for the documents. */

export interface OtherRoute {
  id: string;
  method: 'get' | 'post' | 'put' | 'delete';
  /** OpenAPI path, as `/api/streams/{streamId}`. */
  path: string;
  tag: string;
  summary: string;
  doc: string;
  parameters?: { name: string; in: 'path' | 'query' | 'header'; doc: string }[];
  /** Needs an access token; `or-signed`: unless the address is signed. */
  isUser?: true | 'or-signed';
  /** The fields of a multipart form. */
  form?: { name: string; isFile?: true; isRequired?: true; doc: string }[];
  answers: { status: number; contentType?: string; doc: string }[];
}

const json = 'application/json';

/** Of whatever is served with ranges and a tag. */
const contentAnswers: OtherRoute['answers'] = [
  { status: 200, contentType: '*/*', doc: 'The content' },
  { status: 206, contentType: '*/*', doc: 'The range that was asked for' },
  { status: 304, doc: 'The caller has it' },
  { status: 416, doc: 'The range does not lie within it' },
];

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
    id: 'chat:export',
    method: 'get',
    path: '/api/chats/{chatId}/export',
    tag: 'chat',
    summary: 'A chat as a file',
    doc: 'Everything that is kept of the chat, for its members, as it is written: JSON with all fields, or Markdown to read. Without addresses of attachments, which end after an hour.',
    parameters: [
      { name: 'chatId', in: 'path', doc: 'The chat' },
      { name: 'format', in: 'query', doc: '`json` (if not given) or `markdown`' },
    ],
    isUser: true,
    answers: [
      {
        status: 200,
        contentType: json,
        doc: '`{ chat, exportedAt, members, messages }`, or the text as `text/markdown`',
      },
    ],
  },
  {
    id: 'attachment:upload',
    method: 'post',
    path: '/api/attachments',
    tag: 'attachment',
    summary: 'Upload an attachment',
    doc: 'Data: `{ attachmentId, kind, mime, sizeBytes, name, width?, height?, durationMs?, url, urlExpiresAt }`. Send it with `message:send { attachmentIds }`.',
    parameters: [{ name: 'kind', in: 'query', doc: 'As the form field, which it wins over' }],
    form: [
      { name: 'kind', doc: 'image, voice or file; what it is to be' },
      { name: 'file', isFile: true, isRequired: true, doc: 'The file' },
    ],
    isUser: true,
    answers: [{ status: 200, contentType: json, doc: 'Stored' }],
  },
  {
    id: 'attachment:download',
    method: 'get',
    path: '/api/attachments/{id}',
    tag: 'attachment',
    summary: 'Download an attachment',
    doc: 'By bearer token, or as the signed `url` that a message carries. Takes `Range`, `If-Range` and `If-None-Match`.',
    parameters: [
      { name: 'id', in: 'path', doc: 'The attachment' },
      { name: 'expires', in: 'query', doc: 'Of a signed address' },
      { name: 'signature', in: 'query', doc: 'Of a signed address' },
    ],
    isUser: 'or-signed',
    answers: contentAnswers,
  },
  {
    id: 'file:upload',
    method: 'post',
    path: '/api/projects/{projectId}/files/upload',
    tag: 'file',
    summary: 'Upload a file into a project',
    doc: 'Data: `{ file }`. Text becomes a document, everything else a blob; what is at the path gets it as its new text or version.',
    parameters: [
      { name: 'projectId', in: 'path', doc: 'The project' },
      { name: 'path', in: 'query', doc: 'As the form field, which it wins over' },
      { name: 'clientId', in: 'query', doc: 'As the form field, which it wins over' },
    ],
    form: [
      { name: 'path', doc: "Where it is put; the file's name if not given" },
      { name: 'clientId', doc: 'A retry with the same one gets the first outcome' },
      { name: 'file', isFile: true, isRequired: true, doc: 'The file' },
    ],
    isUser: true,
    answers: [{ status: 200, contentType: json, doc: 'Stored' }],
  },
  {
    id: 'file:upload-put',
    method: 'put',
    path: '/api/uploads/{uploadId}',
    tag: 'file',
    summary: 'Send a file to an address of file:upload-url',
    doc: 'The body is the content. Data: `{ file }`.',
    parameters: [
      { name: 'uploadId', in: 'path', doc: 'The upload' },
      { name: 'expires', in: 'query', doc: 'Of the address' },
      { name: 'signature', in: 'query', doc: 'Of the address' },
    ],
    answers: [{ status: 200, contentType: json, doc: 'Stored, now or before' }],
  },
  {
    id: 'file:download',
    method: 'get',
    path: '/api/files/{fileId}/content',
    tag: 'file',
    summary: "A file's content",
    doc: 'By bearer token, or as the signed `url` that file:read gives. Takes `Range`, `If-Range` and `If-None-Match`.',
    parameters: [
      { name: 'fileId', in: 'path', doc: 'The file' },
      { name: 'versionId', in: 'query', doc: 'A version of a blob; the present one if not given' },
      { name: 'download', in: 'query', doc: 'Given: to be saved, whatever it is' },
      { name: 'expires', in: 'query', doc: 'Of a signed address' },
      { name: 'signature', in: 'query', doc: 'Of a signed address' },
    ],
    isUser: 'or-signed',
    answers: contentAnswers,
  },
  {
    id: 'project:download',
    method: 'get',
    path: '/api/projects/{projectId}/zip',
    tag: 'project',
    summary: 'A project as an archive',
    doc: 'All files, for whoever may read the project, as it is written.',
    parameters: [{ name: 'projectId', in: 'path', doc: 'The project' }],
    isUser: true,
    answers: [{ status: 200, contentType: 'application/zip', doc: 'The archive' }],
  },
  {
    id: 'project:upload',
    method: 'post',
    path: '/api/projects/{projectId}/zip',
    tag: 'project',
    summary: 'Put an archive into a project',
    doc: 'Data: `{ files }`. All of it or nothing; what is not in it stays. The archive may also be the whole body, as application/zip.',
    parameters: [{ name: 'projectId', in: 'path', doc: 'The project' }],
    form: [{ name: 'file', isFile: true, isRequired: true, doc: 'The archive' }],
    isUser: true,
    answers: [{ status: 200, contentType: json, doc: 'All of it is there' }],
  },
  {
    id: 'project:snapshot-file',
    method: 'get',
    path: '/api/projects/{projectId}/snapshot/content',
    tag: 'project',
    summary: "A file of a project's snapshot",
    doc: 'As the signed `url` that project:snapshot gives.',
    parameters: [
      { name: 'projectId', in: 'path', doc: 'The project' },
      { name: 'userId', in: 'query', doc: 'Whose snapshot' },
      { name: 'path', in: 'query', doc: 'The file' },
      { name: 'expires', in: 'query', doc: 'Of the address' },
      { name: 'signature', in: 'query', doc: 'Of the address' },
    ],
    answers: [{ status: 200, contentType: '*/*', doc: 'The content' }],
  },
  {
    id: 'terminal:download-recording',
    method: 'get',
    path: '/api/terminals/{terminalId}/recording',
    tag: 'terminal',
    summary: 'A recording of a terminal',
    doc: 'As the signed `url` that terminal:recording gives: asciicast version 2.',
    parameters: [
      { name: 'terminalId', in: 'path', doc: 'The terminal' },
      { name: 'expires', in: 'query', doc: 'Of the address' },
      { name: 'signature', in: 'query', doc: 'Of the address' },
    ],
    answers: [{ status: 200, contentType: 'application/x-asciicast', doc: 'The recording' }],
  },
  {
    id: 'user:upload-avatar',
    method: 'post',
    path: '/api/users/avatar',
    tag: 'user',
    summary: "Upload the caller's picture",
    doc: 'Data: `{ user }`, the profile with its new `avatarUrl`.',
    form: [{ name: 'file', isFile: true, isRequired: true, doc: 'An image' }],
    isUser: true,
    answers: [{ status: 200, contentType: json, doc: 'Shown from now on' }],
  },
  {
    id: 'user:remove-avatar',
    method: 'delete',
    path: '/api/users/avatar',
    tag: 'user',
    summary: "Remove the caller's picture",
    doc: 'Data: `{ user }`. There is a drawn picture again.',
    isUser: true,
    answers: [{ status: 200, contentType: json, doc: 'Removed, or there was none' }],
  },
  {
    id: 'user:avatar',
    method: 'get',
    path: '/api/users/{id}/avatar',
    tag: 'user',
    summary: "A user's picture",
    doc: 'Needs no token and may be shown by any page; carries an ETag.',
    parameters: [{ name: 'id', in: 'path', doc: 'The user' }],
    answers: [{ status: 200, contentType: 'image/*', doc: 'The picture: uploaded, else drawn' }],
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
