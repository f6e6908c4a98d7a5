/**
 * The promises of the protocol, one sentence or two each. Their ids title the tests that hold them, so an id is never
 * given to another rule; a rule that no longer holds leaves a gap.
 */
import { LIMITS } from '../../protocol/index.ts';
import { PREVIEW_RULES } from './preview-rules.ts';
import { DOCUMENT_RULES, PROJECT_RULES } from './project-rules.ts';
import { hours, kib, mib, seconds, type RuleGroup } from './rule-group.ts';
import { SANDBOX_RULES } from './sandbox-rules.ts';
import { TERMINAL_RULES } from './terminal-rules.ts';

export const RULES: RuleGroup[] = [
  {
    title: 'Operations and answers',
    rules: {
      'PR-1':
        "Data has exactly the fields of the operation's output. Clients ignore fields that they do not know: data may grow within a version.",
      'PR-2': 'An unknown operation is answered with `not_found`.',
      'PR-3':
        'Input has exactly the fields of the operation: an unknown field, `__proto__` included, a wrong type or a value out of bounds is `invalid`, whose `detail` lists `{ path, message }`.',
      'PR-4': `Input nested deeper than ${LIMITS.jsonDepth} is \`invalid\`; input larger than the operation's limit (${kib(LIMITS.operationBytes)} unless stated) is \`too_large\`.`,
      'PR-5':
        'An error has one of the codes below and a message meant for people. A fault of the server is `internal` and says nothing of its cause.',
      'PR-6': 'An operation that needs a signed-in caller is `unauthenticated` without one.',
      'PR-7': `An operation that takes longer than its deadline (${seconds(LIMITS.operationTimeoutMs)} unless stated) is answered with \`timeout\`, and its outcome is unknown; work for a caller who has gone is given up where nothing durable is under way.`,
      'PR-8':
        'Operations of one socket on the same thing are handled in the order they were sent; operations on different things do not wait for each other.',
      'PR-9':
        'Every operation is answered exactly once, whatever happens to it; one that was sent without an acknowledgement callback is handled all the same.',
      'PR-10': 'No input, however malformed, ends the process or disturbs another client.',
      'PR-11': 'A thing that the caller may not know of is `not_found`, never `forbidden`.',
      'PR-12': '`rate_limited` carries `retryAfterMs`.',
      'PR-13': `At most ${LIMITS.operationsUnderWay} operations of one socket are under way; more are \`rate_limited\`.`,
      'PR-14':
        'An operation that creates something takes a `clientId`: a repetition with the same one gets the first outcome, also when its other input differs.',
      'PR-15': 'A list is `{ items, next }`; `next` is the `cursor` of the next page, or null on the last.',
      'PR-33':
        'A name that people give has something that can be seen, and neither control characters nor those that turn the writing of what follows around; blanks around it are dropped.',
    },
  },
  {
    title: 'Connection',
    rules: {
      'PR-16':
        'A refused connection hears `connect_error` whose `data` is `{ code, message }`, and is closed. A `protocol` that the server does not speak is `unsupported` with the versions it does.',
      'PR-17':
        "`hello` comes once per connection; from it on nothing of the user's rooms is missed. Operations sent before it wait for it.",
      'PR-18': `A client that does not read is given up when more than ${mib(LIMITS.outboundBytes)} or ${LIMITS.outboundPackets.toLocaleString('en-US')} packets wait for it. The next \`hello\` of its session says \`previousClose: "slow_consumer"\`, on whatever server; it resumes as after any disconnect.`,
      'PR-19': `A server that stops says \`server:draining\` and closes its connections within ${seconds(LIMITS.drainMs)}; clients connect again by themselves.`,
      'PR-23': `One user has at most ${LIMITS.connectionsPerUser} connections, one address at most ${LIMITS.connectionsPerIp}.`,
      'PR-24':
        'A browser page connects only from an allowed origin; a request without an Origin is not a page and needs no permission but its token.',
    },
  },
  {
    title: 'Order and rooms',
    rules: {
      'PR-20':
        'Events of one room reach every socket in the same order, text and binary alike, on every transport. Nothing is promised across rooms, nor between the answer to an operation and the event it causes.',
      'PR-21': 'Who joins a room gets what is emitted from then on; who leaves has got everything emitted before.',
      'PR-22': 'What a room hears in one turn of the server is written to a websocket at once.',
      'PR-25': "Events of a room go to every socket in it, the sender's own too.",
      'PR-30':
        'An event may leave out people (typing between two who blocked each other): their sockets get everything else of the room in its order.',
      'PR-31':
        'Events that newer ones replace (typing, presence, cursors) are held back for a client that has fallen half way to its limit; once it has caught up it gets the newest of each.',
      'PR-32': `A packet over ${kib(LIMITS.outboundLargeBytes)} waits until everything before it has left, keeps its place, and is not counted while it leaves, for at most ${seconds(LIMITS.outboundLargeMs)}. Who has ${mib(LIMITS.outboundWaitingBytes)} of them waiting gets \`rate_limited\`.`,
    },
  },
  {
    title: 'Signing in and staying signed in',
    rules: {
      'AU-1': 'A wrong password and an unknown user get the same answer after the same work.',
      'AU-2':
        'After five failures in a row signing in is `rate_limited`, first for 5 minutes, then doubling up to an hour.',
      'AU-3':
        'A refresh token serves once: using it gives a new pair. The same token used again within 20 s gets the same successor, because two tabs race.',
      'AU-4': 'Any later use of a spent refresh token revokes the whole session and closes its connections.',
      'AU-5': `Revoking or leaving a session closes its connections on every server with \`session:closed\`; operations under way there may answer for ${seconds(LIMITS.lastAnswerMs)} more, and new ones are \`unauthenticated\`.`,
      'AU-6': `A connection hears \`session:expiring\` ${seconds(LIMITS.expiryNoticeMs)} before its token ends and is closed ${seconds(LIMITS.expiryGraceMs)} after, unless \`auth:refresh\` brought a newer token of the same user.`,
      'AU-7': 'A password has 8 to 128 characters and is none of the commonest; nothing else is asked of it.',
      'AU-8':
        'A phone code has six digits, lives 5 minutes, allows 5 tries, and serves once; a new one can be had after 60 s.',
      'AU-9': 'Codes are limited per phone and per address, and wrong ones are counted across resends.',
      'AU-10': 'No answer, log line or error carries a password, a code or a token that it does not hand out.',
    },
  },
  {
    title: 'People and blocks',
    rules: {
      'BL-1':
        '`user:get` and `user:search` show of others only id, name, username and picture; phone number and e-mail address find only when complete, and nobody who has opted out.',
      'BL-2':
        'A block holds both ways, whoever set it, until the one who set it ends it; a repetition changes nothing.',
      'BL-3':
        'A block takes effect on every server at once, and within 30 s also where the notice of it was lost. Nobody is told of being blocked.',
      'BL-4': '`user:blocked` lists whom the caller has blocked, the newest first.',
    },
  },
  {
    title: 'Chats and messages',
    rules: {
      'CH-1':
        'Every change in a chat has the next `rev`, without gaps and unique; every message has the next `seq`, without gaps among messages.',
      'CH-2':
        'However many servers write to a chat at once, it has one order, and messages of one sender on one socket keep the order they were sent in.',
      'CH-3':
        'A repeated `message:send` with the same `clientId` by the same sender in the same chat gets the first outcome and adds nothing.',
      'CH-4':
        'Whether the sender may write is true at the place in the order that the message takes: who has lost the membership before it is refused.',
      'CH-5': '`createdAt` never goes backwards within a chat.',
      'CH-6': 'A server that cannot store fast enough refuses with `unavailable` and keeps what it has accepted.',
      'CH-7': 'When the database connection breaks, nothing is lost, doubled or misnumbered.',
      'CH-8': 'Acknowledged means durable: the answer to `message:send` comes after the write.',
      'CH-9': 'Who is not a member of a chat learns nothing of it: every operation on it is `not_found`.',
      'CH-10': 'After a crash no acknowledged message is missing, none is doubled, and the order is kept.',
      'CH-11': 'All members hear the events of a chat in the order of `rev`, on every server.',
      'CH-12':
        'After any disconnect `chat:heads` and `chat:sync` give exactly what was missed: no loss, no duplicate, no wrong order.',
      'CH-13':
        'A page of `chat:sync` has each message at most once, in its present state; the next page begins at `position`. `reset: true` means that `after` is older than what is kept.',
      'CH-14': '`message:list` gives messages ascending by `seq`: the newest page, or those before or after a `seq`.',
      'CH-15': 'A private chat is unique per pair of people: creating it again gives the one that exists.',
      'CH-16': "A new chat is told to all its members' sockets, which are in its room from then on.",
      'CH-17': "`chat:list` gives the caller's chats, newest activity first.",
      'CH-18': `Typing is told to sockets that opened the chat, at most once per ${seconds(LIMITS.typingThrottleMs)} and member; it ends by itself after ${seconds(LIMITS.typingExpiryMs)}, on a message, and on disconnect.`,
      'CH-19': `A message has at most ${kib(LIMITS.messageBytes)} of UTF-8; its \`metadata\` at most ${kib(LIMITS.metadataBytes)} of JSON, which the server keeps and does not read.`,
      'CH-20':
        '`chat:join` opens the live detail of a chat on one socket and `chat:leave` closes it; membership and messages are not touched.',
      'CH-21':
        'Each change of a message is told once, at its `rev`, with the message in its present state: `message:updated` for an edit or reaction, `message:deleted` for a deletion. Of two states the one with the higher `message.rev` is newer.',
      'CH-22':
        'A deleted message keeps its place as a tombstone without content, metadata, attachments, reactions or history.',
      'CH-23': "A message is edited by its sender only, and deleted by its sender, the chat's owner or an admin.",
      'CH-24':
        'A reaction counts once for each person and emoji; setting it again, or taking back what is not there, changes nothing.',
      'CH-25':
        '`replyTo` and `threadRoot` are messages of the same chat, `mentions` are members; who is mentioned hears `mention:created` on all sockets.',
      'CH-26': 'What a message carries fits its type; the server does not read `encrypted` ones.',
      'CH-27':
        "`chat:search` finds messages of the caller's chats that have all the words, in any case and accent, newest first; the last word may be a beginning.",
      'CH-28': 'However many change a message at once, everybody sees it end alike, and no change is lost.',
      'CH-29': 'A new member may read the history, has nothing unread, and hears everything from then on.',
      'CH-30':
        'Who is removed hears and may do nothing more, on every server, from the place of the removal in the order on.',
      'CH-31':
        'Members write; admins also manage members, the name and others’ messages; the owner also sets roles and retention, deletes and restores.',
      'CH-32':
        'A leaving owner is followed by the longest-serving admin, else member. When the last one leaves, the chat is deleted.',
      'CH-33': `A deleted chat is gone for everyone; its owner can restore it for ${LIMITS.restoreDays} days.`,
      'CH-34':
        'Read and delivered positions never go back; they are told to sockets that opened the chat, and to the member’s own.',
      'CH-35': 'Stars, archive and mute are a member’s own, and told to all of that member’s sockets.',
      'CH-36':
        'Between people of whom one blocked the other a private chat takes no messages, and neither sees the other type in any chat.',
      'CH-37':
        'What a server that died has left half done (a change that no message shows yet, a membership that no row shows yet) is finished by whoever meets it next.',
      'CH-70':
        'The members of a chat of a project are those of the project, always: its owner is the owner, editors and viewers are members and may write. Who joins or leaves the project joins or leaves its chats, on every server; who only reads a public project sees none of them.',
      'CH-71':
        'A chat of a project is deleted and restored with the project, and goes for ever with it; one that was deleted by itself comes back by itself, with the members that the project has by then.',
      'CH-72': 'Whatever a server that died has left between a project and its chats is made right within two minutes.',
    },
  },
  {
    title: 'Attachments and pictures',
    rules: {
      'AT-1':
        'An upload is one file, in the field `file` of a multipart form, with a bearer token. What it is is told by its content alone; its name is kept as a name, without path and hidden characters.',
      'AT-2': `The form field or query parameter \`kind\` says what it is to be: \`image\` (PNG, JPEG, GIF, WebP, AVIF; at most ${mib(LIMITS.imageBytes)}), \`voice\` (sound; ${mib(LIMITS.voiceBytes)}) or \`file\` (anything; ${mib(LIMITS.fileBytes)}); without it a picture is an image, anything else a file. Another type is \`unsupported\`, more is \`too_large\`.`,
      'AT-3':
        'A malformed form, or one with no file or several, is `invalid`. Of an upload that is refused or broken off nothing is kept.',
      'AT-4': `The attachments of one user take at most ${mib(LIMITS.attachmentQuotaBytes)} together, each at least ${kib(LIMITS.attachmentLeastBytes)}; beyond it is \`quota_exceeded\`.`,
      'AT-5':
        'An image has the width and height in which it is shown; a voice message its length, where the content tells it.',
      'AT-6':
        'An attachment can be read by its uploader until it is sent, then by the members of its chat; for anybody else it is `not_found`.',
      'AT-7': `The \`url\` that a message carries serves without a token until \`urlExpiresAt\`, at most ${hours(LIMITS.attachmentUrlMs)}; any other is \`unauthenticated\`. The log never has it.`,
      'AT-8': 'Downloads know single ranges (206, 416), `If-Range`, `HEAD`, and an ETag (304).',
      'AT-9':
        'Nothing that was uploaded can run or be shown as a document: files come as attachments, documents as bytes of unknown type, everything with `nosniff` and a policy that allows nothing.',
      'AT-10':
        "A message takes its sender's own uploads, each only once; its retry takes the same again. Those of a message of type image or voice are of that kind.",
      'AT-11': `An upload that no message carries within ${hours(LIMITS.attachmentUnusedMs)} goes; those of a removed message or chat go with it, and with an account what no message carries.`,
      'AT-12': `A user's picture can be replaced by an image of at most ${mib(LIMITS.avatarBytes)}, and taken back.`,
    },
  },
  {
    title: 'What ends',
    rules: {
      'LC-1':
        'Entries older than the `retentionDays` of a chat are removed within an hour or so, from the beginning of its log; its last entry stays, so positions go on. Asking `chat:sync` for what is gone is answered with `reset: true`.',
      'LC-2': `${LIMITS.restoreDays} days after its deletion a chat is removed for good with everything that refers to it.`,
      'LC-3':
        'Who ends an account proves once more who they are: by the password, or without one by a session that began less than 10 minutes ago.',
      'LC-4':
        'An ended account loses its name, addresses, password, keys, blocks and sessions at once, on every server, and soon after leaves every chat; chats where nobody else is are removed. Its messages stay with the others, by a “Deleted user”. Its e-mail address, username and phone number are free again.',
      'LC-5':
        '`GET /api/chats/:chatId/export?format=json|markdown` gives a member the whole chat as a file. One that is not whole breaks off without its end.',
    },
  },
  ...DOCUMENT_RULES,
  ...PREVIEW_RULES,
  {
    title: 'Presence',
    rules: {
      'PS-1':
        'A user is there while at least one connection is, and shows as the most present of them: busy, else online, else away.',
      'PS-2': `A change is told ${seconds(LIMITS.presenceDebounceMs)} after it happened, so that a reconnect is not a flicker; of a connection that fell silent at once when it is given up.`,
      'PS-3': 'Only people who share a chat with a user see their presence.',
      'PS-4':
        'While the servers cannot agree on who is there, everybody is `unknown`; watchers hear of it, and are corrected afterwards.',
      'PS-6':
        'Who loses the last chat shared with a user stops hearing of them at once, on every server, and the other way round: they look absent to each other.',
      'PS-5':
        'People between whom a block stands look absent to each other: `presence:get` and `presence:watch` leave them out, and whoever watched hears `offline` once and then nothing, from the block on and on every server.',
    },
  },
  {
    title: 'Keys of end-to-end encryption',
    rules: {
      'KY-1':
        '`keys:claim` gives the identity key and the signed pre key of each device asked for, and one one-time key, or none when none is left. The server reads no key.',
      'KY-2':
        'A one-time key is given away once, however many claim at once and on however many servers; publishing it again does not bring it back.',
      'KY-3': 'A repeated claim with the same `clientId` by the same caller gets the same keys and uses no others.',
      'KY-4':
        'The identity key of a device is replaced only by `replaceIdentity: true`; its one-time keys until then are void.',
      'KY-5': `When a claim leaves fewer than ${LIMITS.oneTimeKeysLow} one-time keys of a device, its owner hears \`keys:low\` on every connection.`,
      'KY-6':
        'Keys are seen by people who share a chat and between whom no block stands; for others there is no such user.',
      'KY-7': `A user has at most ${LIMITS.devicesPerUser} devices, a device at most ${LIMITS.oneTimeKeysPerDevice} unclaimed one-time keys; a device that was removed begins anew.`,
      'KY-8': 'How many one-time keys one user takes of another in a day is limited.',
    },
  },
  {
    title: 'Several servers',
    rules: {
      'CN-1':
        'Members on different servers hear every message of a chat once and in one order, however many of them write at once.',
      'CN-2':
        'When a server dies, or stands still, everybody on it goes on with another, and what it had acknowledged is heard by all.',
      'CN-3':
        'While the servers cannot hear each other, writing and reading go on; when they can again, everybody is told what was missed.',
      'CN-4':
        'While the database is away, operations that need it answer `unavailable` or `timeout`; the same `clientId` again finds out what became of them.',
      'CN-5':
        'Who vanished with a server or behind a silent connection is seen to be offline by all, and nobody else is, for good.',
      'CN-6': 'However connections end, and however servers are stopped and started, nothing acknowledged is lost.',
      'CN-7':
        'What happens in a chat takes effect on every server at once: members that come and go, typing, presence, opened and ended sessions, assistants that write.',
    },
  },
  {
    title: 'Assistants: the model behind',
    rules: {
      'AI-1':
        'The text, the usage and the reason of the end are those that the provider gave, however its bytes were cut.',
      'AI-2': 'An answer counts as complete only when the provider said so; one that just ends has failed.',
      'AI-3':
        'A provider that is busy or away is asked again, a limited number of times and only before the first text; how long it asks to wait is respected up to a minute.',
      'AI-4': 'A provider that falls silent is given up with `timeout`.',
      'AI-5': 'A stop reaches the provider at once and lets its connection go.',
      'AI-6': "No error or log line carries the provider's key or its words.",
      'AI-7': 'Without a key the `demo` assistant answers offline, the same to the same, and says what it is.',
      'AI-8': 'Which provider answers follows from the configuration; a missing key is an error at the start.',
      'AI-9':
        'The model is given the newest messages that fit, who wrote them where several people do, and the context with this prompt only.',
    },
  },
  {
    title: 'Assistants: streams',
    rules: {
      'AI-10':
        'The first text goes out at once; what follows is gathered for a moment that grows with the room, and the end does not wait for it.',
      'AI-11': 'Deltas of a stream are contiguous in UTF-16 units and never split a surrogate pair.',
      'AI-12': 'What a delta says can be resumed before anybody hears it.',
      'AI-20':
        "`ai:prompt` stores the prompt as the caller's message and then lets every member hear `ai:started`, `ai:delta` and `ai:finished`; the answer becomes one message of the chat under the id given beforehand. Without a `chatId` an assistant chat is opened.",
      'AI-21': 'A repeated prompt with the same `clientId` by the same caller joins the first stream.',
      'AI-22': `A chat has at most ${LIMITS.streamsPerChat} answers under way.`,
      'AI-23':
        'With `wait: true` the answer comes when the assistant has finished and adds message, usage and truncated; a caller who leaves does not end the stream.',
      'AI-30': '`ai:resume` gives exactly the rest from an offset, while the stream runs and after its end.',
      'AI-31':
        'A client that drops deltas below the end of what it has, and resumes when one lies above, has every unit once, however late it came and however often it left.',
      'AI-32':
        "`ai:stop`, by whoever asked or the chat's owner or admin, keeps the text so far, with stopReason `stopped`.",
      'AI-33':
        'A stream that failed keeps its text so far, if any, in a message with `metadata.incomplete: true`, and says `ai:failed`.',
      'AI-34': 'A server that stops ends its streams as interrupted and keeps their text.',
      'AI-35': 'Streams of a server that died are ended by another one, with the text that was told.',
      'AI-36': 'A stream followed over HTTP goes on exactly after any event that was seen.',
      'AI-37': 'All of this holds with a real provider behind.',
    },
  },
  {
    title: 'Notifications',
    rules: {
      'PU-1': 'A message is notified of on the devices of members who have no connection open anywhere.',
      'PU-2': `A notification is JSON of at most ${kib(LIMITS.pushPayloadBytes)}: \`{ type: "message" | "mention", chatId, messageId, title, body? }\`, encrypted for the device. It says nothing of what an encrypted message says.`,
      'PU-3':
        'Nobody is notified of their own messages, of a chat that they have muted, of whom they block or are blocked by, in their quiet hours, or of what they have read. An archived chat notifies of mentions only; a muted one of nothing.',
      'PU-4': 'A device that its push service says is gone is not sent to again.',
      'PU-5':
        'What a push service does not take now is sent again later, at the earliest when it says; unless the user has come back by then.',
      'PU-6': `Of the messages of a chat within ${seconds(LIMITS.pushPaceMs)} the first and the last are notified of, and those with mentions; a later notification replaces an earlier one that is not delivered yet.`,
      'PU-7': `A device belongs to the user who subscribed it last, and goes with their session. A user has at most ${LIMITS.pushSubscriptionsPerUser}.`,
      'PU-8': 'The address of a device is https and public, also at the moment of sending.',
      'PU-9':
        'In a large group everybody who is away is notified, also when the server stops in the middle: another one goes on.',
      'PU-10': 'Where push is off its operations are `unsupported`, and `/health` says so.',
    },
  },
  {
    title: 'Reports and administrators',
    rules: {
      'AD-1':
        'Operations of administrators are `forbidden` to everybody else; the role counts as it is at each operation, so one that was taken away is gone at once.',
      'AD-2':
        'A ban ends all sessions of a user with `session:closed` on every server at once; signing in and refreshing are `forbidden` with the reason until the ban ends.',
      'AD-3':
        'The account with the address in ADMIN_EMAIL is an administrator: in production one that was there when the server starts, and nobody can register that address; off production signing up with it is enough.',
      'AD-4':
        'An administrator cannot be banned, nor a banned user become one; nobody takes their own role, or the one that ADMIN_EMAIL names.',
      'AD-5':
        'A report keeps the message as it was. Each person reports a message once; doing it again gives the first report.',
      'AD-6': 'Resolving a report carries its action out; a report is resolved once.',
      'AD-7': 'An announcement reaches everybody who is connected, on every server.',
      'AD-8': 'Everything that administrators do or look at is in the audit list, and what others tried.',
      'AD-9':
        'Figures count each person once a day and each message once; those of a day that is over stay as they were.',
      'AD-10': 'Lists of administrators go on exactly where the page before ended.',
    },
  },
  ...PROJECT_RULES,
  ...SANDBOX_RULES,
  ...TERMINAL_RULES,
  {
    title: 'HTTP',
    rules: {
      'HT-1':
        'A route has the same input and data as its operation. Path, query and JSON body are one input; the path wins over the body, the body over the query.',
      'HT-2':
        'Every answer is `{ type: "success", message, data }`, or `{ type: "error", message, error }` with the status of the code. Unknown paths and wrong methods are `not_found`.',
      'HT-3': "The `auth:*` routes carry data's fields at the top level, too.",
      'HT-4':
        'A body is JSON with the type `application/json`; any other type is `unsupported`, malformed JSON is `invalid`, a parameter given twice is `invalid`.',
      'HT-5': 'A token that is not good is `unauthenticated` where one is needed, and counts as none where it is not.',
      'HT-6': '`auth:refresh-token` takes the refresh token from the body, else from `Authorization: Bearer`.',
      'HT-7': '`rate_limited` carries the header `Retry-After` in whole seconds.',
      'HT-8':
        'With `Accept: text/event-stream` a prompt is answered by the stream itself: events `started`, `delta`, `finished`, `failed`, each with the id `<streamId>:<offset>` at which to go on.',
      'HT-9':
        '`GET /api/streams/:streamId` with `Last-Event-ID` gives exactly the rest. A refusal comes as an ordinary answer before the stream begins.',
      'HT-10': 'A reader of events that leaves ends its watch, not the stream; one that reads slowly is waited for.',
      'HT-11': 'A caller who leaves aborts what was being done for it, as on the socket.',
      'HT-12': 'Pages of other sites may read answers only from an allowed origin.',
      'HT-13': "A user's picture needs no token; it can run nothing, and is answered with 304 to whoever has it.",
      'HT-14': 'Metrics need their token, or come from the machine itself where none is set.',
      'HT-15':
        'The development outbox exists only off production and answers only the machine itself, not a proxy on it.',
      'HT-16': 'Every answer has an `X-Request-Id`: the one sent, if it is short and plain, else a new one.',
      'HT-17': '`/livez` asks nothing of other parts; `/readyz` and `/health` answer 503 when not ready, or down.',
    },
  },
  {
    title: 'The client library',
    rules: {
      'SD-1':
        'Every listener hears every message once and in order, whatever was lost, doubled, delayed or missed while away.',
      'SD-2': 'From `ready` on every message is heard; those before it are history.',
      'SD-3': 'What the server no longer keeps is told as `chat:reset`, and events go on from there.',
      'SD-4': 'An assistant stream is heard without gaps or repeats, and ends once.',
      'SD-5': 'What may be sent twice (reads, and what carries a `clientId`) is; anything else is sent once.',
      'SD-6': 'A listener that throws stops no other, and one that was taken off hears nothing more.',
      'SD-7': 'An answer resolves; an error rejects with its code, detail and retryAfterMs.',
      'SD-8':
        'A call whose answer was lost is sent again with the same `clientId`, and calls made offline go out in their order.',
      'SD-9': 'What rejects says whether it was never sent, or its outcome is unknown.',
      'SD-10': "A burst stays under the server's limit of operations under way.",
      'SD-11': 'States follow the connection, and one that does not say `hello` is given up.',
      'SD-12': 'A refused connection is tried again only where that can help, with a new token where one can be had.',
      'SD-13':
        'A token is renewed before it ends; an expired session comes back with a new one, and a revoked session closes the client.',
      'SD-14': 'Closing ends the connection, rejects what is under way, and forgets every listener.',
      'SD-15': 'A chat that began while the client was away or connected is told once, with its messages.',
      'SD-16': 'Chats that the server does not send by itself are asked for.',
      'SD-17': 'Opened chats, watched people and the own presence are set up again after a reconnect.',
      'SD-18': 'Without `autoResume` events come as they are sent.',
      'SD-19': '`streamText` gives the text as it comes and returns the message.',
      'SD-20':
        '`presence` knows whom the application watches, tells every change once, and goes on after a reconnect with what changed meanwhile.',
      'SD-21':
        '`typing` knows who types in an opened chat: until they stop, write, or fall silent. Each beginning and end is told once.',
      'SD-22':
        '`typing.start`, called with every key, tells the server at once and then from time to time; a message ends it.',
      'SD-23':
        'What is written to the outbox is stored before it is sent, is sent in the order of its chat until it is acknowledged, also after a reload, and exists once.',
      'SD-24':
        'What the server refuses for good stays in the outbox with its error until it is sent again or removed, and holds up nothing; what is removed is not sent any more.',
      'SD-25':
        'The outbox sends only what its own user wrote. A storage that fails is told of, and the message is sent all the same.',
      'SD-30':
        'A Yjs provider brings in what the server has, then is `synced`, and sends what the server lacks: also what a document that was kept elsewhere holds.',
      'SD-31':
        'Changes of one tick are one message, one message of a document is under way, and `unsavedChanges` counts what is not stored. What waits is bounded.',
      'SD-32':
        'What was written without a connection, was on its way when one broke, or got no answer is merged when there is one again.',
      'SD-33': 'A conflict, or an update that builds on what never came, is healed by a comparison with the server.',
      'SD-34':
        'What the server refuses is told once and not sent again; others are heard all the same, and what became smaller is tried again.',
      'SD-35':
        "The own awareness state is told and renewed, and goes with the provider; others' go with the connection and come back with it.",
      'SD-36':
        'Who may only read sends nothing; with the right to write what waited goes; without any right the provider closes.',
      'SD-37': 'Providers of one client share its socket; the last one of a document closes it.',
      'SD-38':
        'A change that is too long for one message goes as the first after an opening; what is longer still is told.',
      'SD-39': "The provider has the events, states and methods of y-websocket's, and leaves nothing behind.",
      'SD-40': 'Unread counts follow messages, reading on any device, and what happened while away.',
      'SD-41':
        "Editors in browsers, by the SDK's provider or a stock one, and programs hold the same text and see each other, also after a time without a connection.",
    },
  },
];
