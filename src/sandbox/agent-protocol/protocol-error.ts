/** Why a link between a server and an agent ends. The codes are part of the protocol. */
export const END_CODES = [
  /** A frame with a wrong length or type. */
  'frame',
  /** A message that has not the shape its type asks for, or that does not fit what was said before. */
  'message',
  /** More frames in a second than allowed. */
  'flood',
  /** No hello, or no answer to it, in time. */
  'timeout',
  'secret',
  'version',
  /** The agent knows of a server with a higher fence. */
  'superseded',
  /** The agent has connected anew. */
  'replaced',
  /** This end stops. */
  'stopping',
] as const;

export type EndCode = (typeof END_CODES)[number];

/** The other end broke the protocol, or may not speak: its link ends with the code. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: EndCode;

  constructor(code: EndCode, message: string) {
    super(message);
    this.code = code;
  }
}
