/** The socket side as an AsyncAPI 3.0 document, seen from the server: it receives operations and sends events. */
import { STATUS_BY_CODE, type Contract, type EventMap } from '../../protocol/index.ts';
import { shapesOf, type JsonSchema } from './shapes.ts';

export interface AsyncApiMessage {
  name: string;
  title: string;
  summary?: string;
  payload: JsonSchema;
}

interface Reference {
  $ref: string;
}

export interface AsyncApiOperation {
  action: 'send' | 'receive';
  channel: Reference;
  title: string;
  summary: string;
  messages: Reference[];
  reply?: { channel: Reference; messages: Reference[] };
}

export interface AsyncApiDocument {
  asyncapi: '3.0.0';
  info: { title: string; version: string; description: string };
  defaultContentType: string;
  servers: Record<string, { host: string; protocol: string; pathname: string; description: string }>;
  channels: Record<string, { address: string; description: string; messages: Record<string, Reference> }>;
  operations: Record<string, AsyncApiOperation>;
  components: { messages: Record<string, AsyncApiMessage>; schemas: Record<string, JsonSchema> };
}

const CHANNEL = { $ref: '#/channels/root' };

export function asyncApi(contract: Contract, events: EventMap, version: string): AsyncApiDocument {
  const shapes = shapesOf(contract, events);
  const messages: Record<string, AsyncApiMessage> = {};
  const operations: Record<string, AsyncApiOperation> = {};
  const add = (message: AsyncApiMessage): Reference => {
    const key = keyOf(message.name);
    messages[key] = message;
    return { $ref: `#/channels/root/messages/${key}` };
  };

  for (const [name, operation] of Object.entries(contract)) {
    if (operation.http?.only) continue;
    const request = add({ name, title: name, summary: operation.doc, payload: shapes.inputs[name] as JsonSchema });
    const answer = add({
      name: `${name}.ack`,
      title: `The answer to ${name}`,
      payload: ackOf(shapes.outputs[name] as JsonSchema),
    });
    operations[keyOf(name)] = {
      action: 'receive',
      channel: CHANNEL,
      title: name,
      summary: operation.doc,
      messages: [request],
      reply: { channel: CHANNEL, messages: [answer] },
    };
  }
  for (const [name, { doc }] of Object.entries(events)) {
    const message = add({ name, title: name, summary: doc, payload: shapes.events[name] as JsonSchema });
    operations[keyOf(name)] = { action: 'send', channel: CHANNEL, title: name, summary: doc, messages: [message] };
  }

  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Atelier on the socket',
      version,
      description:
        'Socket.IO v4 on the default namespace. A message is a Socket.IO event of that name with one object; an operation is answered by the acknowledgement. See protocol.md for the rules.',
    },
    defaultContentType: 'application/json',
    servers: {
      local: {
        host: 'localhost:3000',
        protocol: 'ws',
        pathname: '/socket.io/',
        description: 'A server on its own machine',
      },
    },
    channels: {
      root: {
        address: '/',
        description: 'The default namespace, `/`',
        messages: Object.fromEntries(
          Object.keys(messages).map((key) => [key, { $ref: `#/components/messages/${key}` }]),
        ),
      },
    },
    operations,
    components: { messages, schemas: { ...shapes.components, Error: errorShape() } },
  };
}

/** AsyncAPI allows letters, digits, `.`, `-` and `_` in keys. */
const keyOf = (name: string): string => name.replaceAll(':', '.');

function ackOf(data: JsonSchema): JsonSchema {
  return {
    oneOf: [
      { type: 'object', properties: { ok: { const: true }, data }, required: ['ok', 'data'] },
      {
        type: 'object',
        properties: { ok: { const: false }, error: { $ref: '#/components/schemas/Error' } },
        required: ['ok', 'error'],
      },
    ],
  };
}

function errorShape(): JsonSchema {
  return {
    type: 'object',
    properties: {
      code: { type: 'string', enum: Object.keys(STATUS_BY_CODE) },
      message: { type: 'string' },
      detail: { description: 'Of `invalid`: a list of { path, message }' },
      retryAfterMs: { type: 'integer', minimum: 0 },
    },
    required: ['code', 'message'],
  };
}
