/** The JSON of hello, open and their answers. */
import { integer, listOf, oneOf, optional, record, text, textsByName, wrong, type Read } from './fields.ts';
import { AGENT_LIMITS } from './limits.ts';
import {
  OPEN_FAILURES,
  ROLES,
  type Exit,
  type Hello,
  type OpenFailure,
  type OpenRequest,
  type SpawnRequest,
  type Size,
  type TerminalState,
} from './messages.ts';
import { END_CODES, type EndCode } from './protocol-error.ts';

const MAX = Number.MAX_SAFE_INTEGER;
const U32 = 2 ** 32 - 1;
const ID_MAX = 2 ** 31 - 1;
/** A word of a command line, a path: whatever fits into the frame and a C string. */
const cString =
  (minLength: number): Read<string> =>
  (value, where) => {
    const words = text(minLength, AGENT_LIMITS.payloadBytes)(value, where);
    if (words.includes('\0')) throw wrong(`${where} has a zero byte`);
    return words;
  };
/** Ids need no escaping, so that a hello with all terminals fits into a frame. */
const id: Read<string> = (value, where) => {
  const name = text(1, AGENT_LIMITS.idLength)(value, where);
  if (!/^[\w.:-]+$/.test(name)) throw wrong(`${where} is no id`);
  return name;
};
/** What a listener of the agent may be called. */
export const LISTENER = new RegExp(`^[a-z][a-z0-9-]{0,${AGENT_LIMITS.listenerLength - 1}}$`);
const size = { columns: integer(1, AGENT_LIMITS.columns), rows: integer(1, AGENT_LIMITS.rows) };

export const sizeShape = record<Size>(size);
export const exitShape = record<Exit>({ code: integer(0, 255), signal: integer(0, 64) });

const terminalState = record<TerminalState>({
  ...size,
  // A server counts on from the highest.
  number: integer(1, ID_MAX),
  id,
  seq: integer(0, MAX),
  input: integer(0, MAX),
  taken: integer(0, MAX),
  exit: optional(exitShape),
});

export const helloShape = record<Hello>({
  // Others are refused by name, not as a message that cannot be read.
  version: integer(0, U32),
  role: oneOf(ROLES),
  fence: integer(0, MAX),
  secret: text(1, AGENT_LIMITS.secretLength),
  terminals: listOf(terminalState, AGENT_LIMITS.terminals),
});

const command = {
  argv: (value: unknown, where: string): string[] => {
    const argv = listOf(cString(0), AGENT_LIMITS.words)(value, where);
    cString(1)(argv[0], `${where}[0]`);
    return argv;
  },
  env: textsByName(AGENT_LIMITS.words),
  cwd: cString(1),
};

export const spawnShape = record<SpawnRequest>(command);
export const openShape = record<OpenRequest>({
  ...size,
  ...command,
  id,
  owner: optional(record<{ uid: number; gid: number }>({ uid: integer(0, ID_MAX), gid: integer(0, ID_MAX) })),
});

export const welcomeShape = record<{ version: number; fence: number }>({
  version: integer(0, U32),
  fence: integer(0, MAX),
});
export const refusedShape = record<{ code: EndCode; message: string }>({
  code: oneOf(END_CODES),
  message: text(0, AGENT_LIMITS.messageLength),
});
export const failedShape = record<{ code: OpenFailure; message: string }>({
  code: oneOf(OPEN_FAILURES),
  message: text(0, AGENT_LIMITS.messageLength),
});
