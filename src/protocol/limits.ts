/**
 * Every limit of the protocol, once. Code, documentation and `hello.limits` read them here.
 * Sizes are bytes, times milliseconds, unless the name says otherwise.
 */
import { DAY_MS, HOUR_MS } from './time.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export const LIMITS = {
  /** A document's first sync after long offline work (4 MiB) and its envelope. */
  packetBytes: 4 * MIB + 64 * KIB,
  /** Default for an operation's input; an operation may state its own. */
  operationBytes: 64 * KIB,
  /** Deeper input is refused before anything recursive touches it: 5,000 nested arrays overflow a recursive encoder. */
  jsonDepth: 32,
  /** An answer is owed within this time unless the operation states its own. */
  operationTimeoutMs: 10_000,
  /** Of one socket; more are refused, so that one client cannot queue without end. */
  operationsUnderWay: 64,
  /** A chat message's content. */
  messageBytes: 32 * KIB,
  /** What one message may carry besides its content, as JSON. */
  metadataBytes: 4 * KIB,
  /** A prompt to an assistant. */
  promptBytes: 64 * KIB,
  /** Input of `ai:*` operations: a prompt with its context. */
  aiOperationBytes: 128 * KIB,
  /** Rooms that a socket joins at its client's request. */
  roomsPerSocket: 128,
  /** Chats whose rooms a socket joins by itself when it connects; older ones join by `chat:join`. */
  chatsAtConnect: 1_000,
  /** Open sockets of one user. */
  connectionsPerUser: 20,
  /** Open sockets from one address. */
  connectionsPerIp: 60,
  /** Members of one chat that one `chat:create` may name. */
  membersPerCreate: 200,
  /** Of one chat: every message is read state and fan-out for each of them. */
  membersPerChat: 5_000,
  /** Of one project: whoever joins it joins all of them, each in its own log. */
  chatsPerProject: 100,
  /** A deleted chat can be brought back for so long. */
  restoreDays: 30,
  /** The longest retention that can be asked for; longer is for ever. */
  retentionDaysMax: 3_650,
  /** Of one project: every one is told of each change in it. */
  membersPerProject: 200,
  /** Projects that one user owns: each brings files, members and rooms along. */
  projectsPerUser: 1_000,
  /** Projects whose rooms a socket joins by itself when it connects; older ones join by `project:get`. */
  projectsAtConnect: 200,
  /** A project's settings, as JSON: what a front end remembers, not content. */
  projectSettingsBytes: 16 * KIB,
  /** Time for a new project's files: those of a template, or up to 2,000 of a copy. */
  projectFillMs: 60_000,
  /** Open invites of one project. */
  invitesPerProject: 100,
  /** People who may come by one invite, each of whom it remembers. */
  inviteUsesMax: 100,
  /** The longest life of an invite that can be asked for. */
  inviteDaysMax: 30,
  /** Uploads that one message shows. */
  attachmentsPerMessage: 10,
  mentionsPerMessage: 50,
  /** Former contents kept with a message. */
  editsKept: 50,
  /** An emoji with modifiers is a sequence: a family of four has 11 UTF-16 units, a flag of a region 14. */
  emojiLength: 32,
  /** Different reactions on one message … */
  reactionKinds: 20,
  /** … and all of them: they are kept with it. */
  reactionsPerMessage: 2_000,
  /** Users that a reaction names on the wire; the rest is its count. */
  reactionUsersShown: 50,
  /** Steps of a member's position of which the time is kept. */
  receiptMarks: 32,
  /** Words of one message that can be searched for: beyond, its index entries would outweigh it. */
  searchWords: 200,
  /** Chats that one search looks through, the newest first: each is a range of the index. */
  searchChats: 250,
  /** Users named in one presence request. */
  presencePerRequest: 200,
  /** Uploads by kind: what phones make, what a voice message of an hour takes, and what a form can carry in minutes. */
  imageBytes: 10 * MIB,
  voiceBytes: 20 * MIB,
  fileBytes: 50 * MIB,
  avatarBytes: 2 * MIB,
  /** Attachments of one user together. */
  attachmentQuotaBytes: 1_024 * MIB,
  /** A smaller attachment counts as this much: a row, a file and its folder have a price too. */
  attachmentLeastBytes: 16 * KIB,
  /** An upload that no message carries goes after this. */
  attachmentUnusedMs: DAY_MS,
  /** A signed address serves for so long. */
  attachmentUrlMs: HOUR_MS,
  /** What is kept of a file's name. */
  fileNameCharacters: 200,
  /** What is left of a refused upload is taken for so long and so far that its sender reads the answer, then cut off. */
  refusedBodyMs: 10_000,
  refusedBodyBytes: 64 * MIB,
  /** A file's path in its project, and one part of it: what every file system and object store takes. */
  pathBytes: 512,
  pathSegmentBytes: 200,
  /** Files of one project: a whole tree is still one answer. */
  filesPerProject: 2_000,
  /** `file:create` and `file:write` on a socket, where a large packet holds up the small ones … */
  fileSocketBytes: MIB,
  /** … and over HTTP, where it holds up nobody; larger ones are uploaded. */
  fileHttpBytes: 10 * MIB,
  /** `file:write-many`: its files and all of its input. */
  filesPerWrite: 500,
  fileWriteManyBytes: 4 * MIB,
  /** A change of more files is told in one event: each one by itself would fill the queues of slow readers. */
  fileEventsPerChange: 100,
  /** All files of a user's own projects, kept versions and deleted ones among them. */
  storageQuotaBytes: 1_024 * MIB,
  /** A smaller file counts as this much: rows have a price too. */
  fileLeastBytes: 4 * KIB,
  /** Versions of a blob that are kept: some weeks of daily work. */
  blobVersionsKept: 20,
  /** A file that comes by an address of its own, or in an archive; in a form it has at most `fileBytes`. */
  projectFileBytes: 200 * MIB,
  /** An address to upload to serves for so long. */
  uploadUrlMs: 15 * 60_000,
  /** An archive that is put into a project: what a request carries in the five minutes that it has, on a slow line. */
  zipBytes: 256 * MIB,
  /** Entries of an archive: the files that a project may have, their folders, and what archivers add. */
  zipEntries: 8_000,
  /** Deflate packs zeros a thousandfold, and hardly a project twentyfold: more than this is a bomb … */
  zipRatio: 100,
  /** … if it is large at all: a small one may well be all zeros. */
  zipUnsuspiciousBytes: 16 * MIB,
  /** New texts for files that are there, of one archive: they wait together until all of it is decided. */
  zipRewrittenBytes: 8 * MIB,
  /** A snapshot copies a whole project. */
  snapshotMs: 300_000,
  /** A language's name, as editors have them. */
  languageLength: 40,
  /** Text that one search reads, and how long it may go on: what is found until then is the answer. */
  fileSearchBytes: 64 * MIB,
  fileSearchMs: 5_000,
  /** What is searched for, what is found, and what is shown around it. */
  fileSearchLength: 200,
  fileSearchResults: 200,
  fileSearchPreview: 200,
  /** `clientId`: long enough for a UUID with a prefix. */
  clientIdLength: 64,
  /** Page sizes. */
  listDefault: 50,
  listMax: 100,
  syncDefault: 100,
  syncMax: 200,
  /** Time for a client to send CONNECT, then it is dropped. */
  connectTimeoutMs: 10_000,
  /** A refused client's transport is closed after this, enough to deliver the refusal. */
  refusedCloseMs: 500,
  /** A silent cut is seen after interval + timeout = 9 s. */
  pingIntervalMs: 5_000,
  pingTimeoutMs: 4_000,
  /**
   * What may wait for one socket whose client does not read: bytes, and writes, each of which costs memory however small.
   * Over it the client is given up; stock Socket.IO lets one non-reader take hundreds of megabytes.
   */
  outboundBytes: MIB,
  outboundPackets: 2_000,
  /** States (typing, cursors) that are kept for a socket that is behind, the newest of each. */
  outboundStates: 256,
  /** A larger packet (a document's opening) waits for an empty queue, goes alone and is not counted above … */
  outboundLargeBytes: 256 * KIB,
  /** … has to be taken within this time … */
  outboundLargeMs: 60_000,
  /** … and when so much of them waits for one socket, its operations are `rate_limited`. */
  outboundWaitingBytes: 16 * MIB,
  /** How long a server remembers that it gave up a client, to tell it in its next `hello`. */
  previousCloseMs: 300_000,
  /** Of one message between servers: larger ones fill a subscriber's buffer at the broker, which is then cut off. */
  relayBatchBytes: 64 * KIB,
  /** A server stops listening to a topic of rooms this long after its last room of it, so that reconnects cost nothing. */
  roomTopicIdleMs: 30_000,
  /** Waiting connections that the kernel keeps during a reconnect storm. */
  listenBacklog: 4_096,
  /** A session's socket hears `session:expiring` this long before its token ends … */
  expiryNoticeMs: 60_000,
  /** … and is closed this long after. */
  expiryGraceMs: 25_000,
  /** A socket whose session has ended may hear the answers to what is under way for this long. */
  lastAnswerMs: 2_000,
  /** Typing is told at most once per this time, chat and member … */
  typingThrottleMs: 2_000,
  /** … and ends by itself after this. */
  typingExpiryMs: 5_000,
  /** A change of presence is told after this, so that a reconnect is not a flicker. */
  presenceDebounceMs: 2_000,
  /** What everybody says of themselves in one document (cursors, names): it goes to each who comes. */
  awarenessBytes: 48 * KIB,
  /** Who has said nothing for so long is gone; clients of y-protocols speak every 15 s. */
  awarenessTimeoutMs: 30_000,
  /** Clients that one connection speaks for in one document. */
  awarenessClientsPerConnection: 32,
  /** A ticket for `/yjs` has to be used for the first time within this. */
  ticketFirstUseMs: 600_000,
  /** Somebody on `/yjs` hears something at least this often: stock providers take 30 s of silence for a broken line. */
  yjsQuietMs: 20_000,
  /** Updates of one connection on `/yjs` that wait to be durable; it is not read meanwhile. */
  yjsUpdatesUnderWay: 64,
  /** Messages of one connection on `/yjs` in a second; stock providers send back all that they hear of others' cursors. */
  yjsMessagesPerSecond: 1_000,
  /** How long a connection on `/yjs` that is told to close may take for it. */
  yjsCloseMs: 5_000,
  /** Devices of one user in the key directory. */
  devicesPerUser: 10,
  /** A key or signature in base64: post-quantum ones fit (ML-DSA-65 signs with 3,309 bytes). */
  keyLength: 4_608,
  /** One-time keys of one publication: some days of new sessions. */
  oneTimeKeysPerPublish: 100,
  /** One-time keys of one device that wait to be claimed. */
  oneTimeKeysPerDevice: 500,
  /** A device with fewer is told to publish new ones. */
  oneTimeKeysLow: 20,
  /** One publication of the longest keys. */
  keysPublishBytes: 512 * KIB,
  /** Rows of one durable write, and of the queue before it (`GroupCommit`). */
  commitRows: 500,
  commitBytes: 8 * MIB,
  commitQueueRows: 10_000,
  commitQueueBytes: 64 * MIB,
  /** A job's data, and what it stores of its progress, as JSON: names of what it is about, not the thing itself. */
  jobDataChars: 64 * KIB,
  /** Bytes of one stream between nodes that its reader has granted but not yet used. */
  pulledWindowBytes: 256 * KIB,
  /** … of all streams to one node: half of what Redis lets a subscriber leave unread (8 MB) before it cuts it off. */
  pulledNodeBytes: 4 * MIB,
  /** Bytes of one message of such a stream. */
  pulledChunkBytes: 32 * KIB,
  /** Streams that one node serves to others at once. */
  pulledStreams: 1_000,
  /** Of one user: as many as they may have sessions. */
  pushSubscriptionsPerUser: 20,
  /** Push services' addresses have a few hundred characters. */
  pushEndpointLength: 2_048,
  /** What a notification says, before it is encrypted: push services take 4 KiB with all around it. */
  pushPayloadBytes: 3 * KIB,
  /** A notification that could not be delivered for so long is of no use any more. */
  pushTtlSeconds: 86_400,
  /** A push service that has not answered by then is asked again later. */
  pushTimeoutMs: 10_000,
  /** Of a chat's messages in this time only the first and the last are notified of, and those with mentions. */
  pushPaceMs: 2_000,
  /** Members of a chat that are looked at together. */
  pushPageMembers: 200,
  /** Notifications of one message, and first looks at new ones, under way at once. */
  pushSendsAtOnce: 16,
  /** Why somebody is banned: told to them. */
  banReasonLength: 300,
  /** A reporter's comment, an administrator's note. */
  reportTextBytes: 2 * KIB,
  /** To everybody at once. */
  announcementBytes: 2 * KIB,
  /** Days of one answer of figures. */
  statsDays: 366,
  /** An entry that is missing for so long in a room's order is read from the log. */
  gapFillMs: 100,
  /** Local positions are compared with the log this often (jittered), in case a notice was lost. */
  headCompareMs: 30_000,
  /** Data of one notice between nodes: a packet goes through alone. Redis cuts off a subscriber with 32 MB waiting. */
  busMessageBytes: 4 * MIB + 128 * KIB,
  /** What waits for Redis to take it; while it hangs, more is dropped. */
  busWaitingBytes: 16 * MIB,
  /** A text that people edit together; larger files are blobs. */
  documentTextBytes: 2 * MIB,
  /** One update of a document … */
  documentUpdateBytes: MIB,
  /** … and the first one after opening, with what was written offline. */
  documentFirstUpdateBytes: 4 * MIB,
  /** Documents open on one socket. */
  documentsPerSocket: 64,
  /** Updates after a document's snapshot, and their bytes, before there is a new one: loading replays them. */
  documentTailRows: 200,
  documentTailBytes: 64 * KIB,
  /** Snapshots above are blobs: a database document has at most 16 MiB, with everything in it. */
  documentSnapshotRowBytes: 4 * MIB,
  /** A document that nobody writes is dropped to its bytes after this, one that nobody has open altogether. */
  documentIdleMs: 30_000,
  /** Ends of open documents are compared with the log this often. */
  documentCompareMs: 10_000,
  /** A file's change is told at most once per this time. */
  documentSavedMs: 2_000,
  /** Characters of one streamed answer; a model that goes on is stopped there. */
  streamChars: 1_000_000,
  /** Streams of one chat under way at once. */
  streamsPerChat: 4,
  /**
   * Of one live document, so that an edit made against an earlier text finds its place: about 100 bytes each. Somebody
   * who types deletes one range at a time.
   */
  documentDeletionsKept: 5_000,
  /** Edits of one `file:edit`; each is a step of its own. */
  editsPerOperation: 1_000,
  /** UTF-16 units that the `find`s of one `file:edit` may read together, about 0.1 s. */
  editSearchChars: 64 * MIB,
  /** A document that is written gets an automatic version this often … */
  documentVersionEveryMs: 600_000,
  /** … of which so many are kept: a long day's work. */
  documentVersionsAutomatic: 50,
  /** Named versions of one document: each holds all of its text. */
  documentVersionsNamed: 100,
  /** Open terminals of one user in one project: each is a shell, a screen and 256 KiB of output. */
  terminalsPerUser: 8,
  /** Terminals that one socket watches. */
  terminalsPerSocket: 32,
  /** What is typed into a terminal at once; its programs may leave 64 KiB unread, then it is `rate_limited`. */
  terminalInputBytes: 32 * KIB,
  terminalCommandBytes: 4 * KIB,
  /** Variables that whoever opens a terminal adds to its environment, and each of them. */
  terminalVariables: 64,
  terminalVariableBytes: 4 * KIB,
  terminalCols: 500,
  terminalRows: 200,
  /** Output in one event, or one part of a replay … */
  terminalChunkBytes: 32 * KIB,
  /** … of which an answer has so many; the rest follows as events. */
  terminalChunks: 8,
  /** An answer to `terminal:attach` waits this long for the first of what was missed. */
  terminalReplayMs: 250,
  /** Output that a server keeps for those of its sockets that read at different paces. */
  terminalRingBytes: 256 * KIB,
  /** A socket for which more waits is sent no more output until it has been taken: a part of what it may leave unread. */
  terminalBacklogBytes: 256 * KIB,
  /** Credits of one viewer that are not used up. */
  terminalCreditBytes: 16 * MIB,
  /** When none of a terminal's viewers has read anything for so long its programs run on without them. */
  terminalStallMs: 2_000,
  /** A terminal whose server cannot be reached for so long is lost: another has taken it over by then, or none will. */
  terminalTakeoverMs: 30_000,
  /** A retry of `terminal:open` finds a terminal that was closed meanwhile for so long. */
  terminalRememberedMs: 600_000,
  /** One recording, and recordings of one project under way: they are kept in memory until they are stored. */
  terminalRecordingBytes: 16 * MIB,
  terminalRecordings: 4,
  /** An address of a recording serves for so long. */
  terminalRecordingUrlMs: HOUR_MS,
  /** A drained server closes its sockets within this, spread at random. */
  drainMs: 5_000,
  /** Everything has ended within this after SIGTERM. */
  shutdownMs: 30_000,
  /** A sandbox that does not run by then cannot be started: an image that is built first takes minutes. */
  sandboxStartMs: 60_000,
  /** A machine that nobody has heard of for so long is gone: its projects' sandboxes start elsewhere. */
  machineAwayMs: 300_000,
  /** What a machine that comes back has of such projects is kept for so long. */
  lostVolumeDays: 30,
  /** Processes and threads of a project's sandbox. */
  sandboxProcesses: 256,
  /** A snippet, and what it reads: longer programs are files of a project. */
  runCodeBytes: 50 * KIB,
  runStdinBytes: 64 * KIB,
  /** A run's time: what it may ask for, and gets without asking. */
  runLeastMs: 1_000,
  runMostMs: 30_000,
  runDefaultMs: 10_000,
  /** What a run's sandbox has. */
  runMemoryMib: 256,
  runProcesses: 50,
  /** A run that writes more is ended: nobody reads it, and everybody in its room is sent it. */
  runOutputChars: 256 * KIB,
  /** The end of a run's output is kept (of a snippet's all), for so long after its end. */
  runKeptChars: 256 * KIB,
  runKeptMs: 600_000,
  /** Output of one run in a second: events of a flood would cut off those who read slowly. */
  runCharsPerSecond: MIB,
  /** Files of a project that a run gets a copy of, together: they lie in its memory. */
  runFilesBytes: 64 * MIB,
  /** A command in a project's sandbox. Builds and installations take minutes and write much. */
  execCommandBytes: 16 * KIB,
  execDefaultMs: 60_000,
  execMostMs: 600_000,
  execOutputChars: 16 * MIB,
} as const;

/**
 * Rate classes: points per window for one user (or address, where nobody is signed in).
 * `RATE_LIMIT_SCALE` multiplies the points; 0 switches them off (never in production).
 */
export const RATES = {
  reads: { points: 300, windowSeconds: 60 },
  writes: { points: 120, windowSeconds: 60 },
  sends: { points: 300, windowSeconds: 60 },
  search: { points: 60, windowSeconds: 60 },
  live: { points: 60, windowSeconds: 1 },
  /** Typing: a mouse moved over a full-screen program is told as often as the screen is drawn. */
  typing: { points: 200, windowSeconds: 1 },
  uploads: { points: 60, windowSeconds: 60 },
  downloads: { points: 1_200, windowSeconds: 60 },
  runs: { points: 60, windowSeconds: 60 },
  ai: { points: 50, windowSeconds: 3_600 },
  anonymous: { points: 100, windowSeconds: 900 },
} as const;

export type RateClass = keyof typeof RATES;
