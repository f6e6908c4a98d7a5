/** Limits of the agent protocol, which both ends keep. Sizes are bytes, times milliseconds. docs/agent-protocol.md names them. */
const KIB = 1024;
const MIB = 1024 * KIB;

export const AGENT_LIMITS = {
  /** A frame's payload: small enough that a keystroke never waits long behind one. */
  payloadBytes: 64 * KIB,
  /** Output or input in one frame. */
  chunkBytes: 16 * KIB,
  /** Output that a terminal keeps for whoever comes back. */
  ringBytes: 256 * KIB,
  /** A terminal's output waits when each of its readers has so much of it still before it; far below the ring. */
  lagBytes: 64 * KIB,
  /** Input of one terminal that its programs have not read yet: a large paste. */
  inputBytes: 64 * KIB,
  /** Credit of one attachment that is not used up. */
  creditBytes: 4 * MIB,
  /** A screen with its scrollback, as text: 200 rows of 500 columns with a colour each are about 4 MB. */
  snapshotBytes: 4 * MIB,
  /** Terminals of one agent, those that have ended among them: each is a process, a ring and a screen. */
  terminals: 128,
  /** Readers of one agent's terminals. */
  attachments: 512,
  /** Of a stream, what has been sent and not been taken; one that nobody reads costs this much. */
  streamBytes: 64 * KIB,
  /** Streams that the server has opened, of which a process takes three … */
  serverStreams: 512,
  /** … and those that programs have opened at the agent's listeners: a package manager opens about 20. */
  agentStreams: 256,
  /** A listener's name. */
  listenerLength: 32,
  columns: 500,
  rows: 200,
  /** A terminal's name. */
  idLength: 64,
  /** Both ends' secret: 32 random bytes in hexadecimal fit, longer ones too. */
  secretLength: 128,
  /** Words of a command line, variables of an environment. */
  words: 256,
  /** Why something failed, in words. */
  messageLength: 300,
  /** What a sender sends in a second; a flood of 50 terminals needs a fifth of it. */
  framesPerSecond: 10_000,
  /** A receiver takes more, since bursts add up on the way, and then ends the link. */
  framesPerSecondTaken: 20_000,
  /** After connecting, hello and its answer have to come within this. */
  helloMs: 5_000,
} as const;
