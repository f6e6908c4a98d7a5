/** The promises about projects, their files, and documents. As in `rules.ts`, an id is never given to another rule. */
import { LIMITS } from '../../protocol/index.ts';
import { kib, mib, seconds, type RuleGroup } from './rule-group.ts';

export const DOCUMENT_RULES: readonly RuleGroup[] = [
  {
    title: 'Documents',
    rules: {
      'DC-1': 'A document begins with the initial text of its file, once, however many open it at the same instant.',
      'DC-2':
        'An update is answered when it is durable, and then everyone who has the document open gets it, the writer too. What comes in one turn may be merged into one update.',
      'DC-3':
        'An update that is no Yjs update (version 1), or puts anything but text into the root `content`, is `invalid`. Like every refused update it reaches neither log nor others.',
      'DC-4':
        'An update that builds on changes which no server has is a `conflict`: open the document again with the state vector, and send what the server lacks.',
      'DC-5': 'Under a Yjs client id only the user writes who first did: another is `forbidden`.',
      'DC-6': `A text has at most ${mib(LIMITS.documentTextBytes)} of UTF-8, an update at most ${mib(LIMITS.documentUpdateBytes)}, the first after opening ${mib(LIMITS.documentFirstUpdateBytes)}: more is \`too_large\`.`,
      'DC-7':
        'A reader gets everything, and is `forbidden` to change it. What a user may do with an open document follows at once, on every server, by `doc:access-changed`; who may not open it any more hears nothing from then on.',
      'DC-8':
        'What is opened is the whole document in one to eight updates, or what the state vector lacks; neither age nor number of its edits changes what anybody gets.',
      'DC-9': 'All copies converge on every server, also when servers did not hear each other for a while.',
      'DC-10':
        "Changes by the server itself are edits like any other: made in the text as it is, under a client id of the user's.",
      'DC-11': `That a file's text has been stored is told once for many edits, after ${seconds(LIMITS.documentSavedMs)}.`,
      'DC-60':
        'A text that is written as a whole becomes edits of the live one: what both have in common stays, with the cursors in it, and no surrogate pair is divided.',
      'DC-61':
        'Each edit of `file:edit` is of the text that the ones before it left; all of them are done, or none. Where a place is behind the end it is a `conflict`.',
      'DC-62':
        'With a `stateVector` edits are of the text as it was then, and are done to what has become of it: what others wrote in between stays, what they deleted is gone. If that cannot be told any more it is a `conflict`.',
      'DC-63': 'What a `find` names stands in the text exactly once and as it was seen, or it is a `conflict`.',
      'DC-64':
        'Who watches a text gets it, and then every durable change of it once and in order, whoever made it on whatever server; a change that cannot be told is followed by the whole text.',
      'DC-65':
        'Who may not read a text any more hears nothing of it from then on; who may only read is `forbidden` to edit it.',
      'DC-66':
        'Who watches a text hears who is there, who comes and who goes, by Yjs or without, on whatever server: once for each person, however many places they are in.',
      'DC-67':
        'A cursor is a place in the text as its hearer has it; editors with Yjs and clients without see those of each other.',
      'DC-70': `While a document is written, what it is with the first change of every ${LIMITS.documentVersionEveryMs / 60_000} minutes is kept as a version, once over all servers. Of those that nobody named the last ${LIMITS.documentVersionsAutomatic} are kept.`,
      'DC-71': 'A named version is kept until its document goes; a repetition with the same `clientId` gets the first.',
      'DC-72':
        'Restoring a version is an edit like any other; what was there before is kept as a version, so it can be taken back.',
      'DC-73': 'Versions go with their document.',
    },
  },
  {
    title: 'Who is in a document, and stock Yjs providers',
    rules: {
      'DC-30':
        'What a client says of itself by `doc:awareness` goes to everybody in the document, the sender too, if its clock is higher than what is known; all of one turn goes together. Anything else is ignored.',
      'DC-31':
        'A Yjs client id is spoken for by one connection. Entries about those of other users are ignored, not refused; a client that comes back is spoken for by the new connection of the same user, and the end of the old one does not end it.',
      'DC-32': `A client is gone when it says so, when its connection ends, or when it has said nothing for ${seconds(LIMITS.awarenessTimeoutMs)}.`,
      'DC-33': `All states of a document together have at most ${kib(LIMITS.awarenessBytes)}; one connection speaks for at most ${LIMITS.awarenessClientsPerConnection} clients of a document.`,
      'DC-34':
        'What is no awareness update is `invalid`; an entry whose state is no JSON object, or is nested too deep, is left out. Everything that goes out stock clients can read.',
      'DC-35': 'All servers know the same clients, also those who were there before a document was opened on a server.',
      'DC-36':
        'Who opens a document, by whichever transport, is told who is there. Awareness is the first that a slow reader misses; the newest states follow when it has caught up.',
      'DC-40': `A ticket of \`doc:ticket\` is good for one user, session and file on every server. It is to be used within ${LIMITS.ticketFirstUseMs / 1_000} s, and serves from then on for as long as session and access last.`,
      'DC-41':
        'Stock y-websocket providers, as they are, work on `/yjs/<fileId>?token=<access token or ticket>`, beside all others on the same document, with what was written offline. Connections to other paths that are no HTTP are ended.',
      'DC-42':
        'An opening is everything there is as updates, then an empty SyncStep2, and a SyncStep1 for those who may write: who calls itself synced has all of it.',
      'DC-43': `The upgrade is always accepted; 4401 (token), 4403 (origin, access, a change that is refused), 4404 (no such document) and 4413 (too large) are final, 1013 is to be tried later. Origins and the connections of one address are counted as on Socket.IO; a user has at most ${LIMITS.connectionsPerUser}.`,
      'DC-44':
        'A connection ends with its session, its access token, its access or its document: at once, on every server.',
      'DC-45':
        'Who may only read gets everything; their changes are answered with `permissionDenied`, and the connection stays. When they may write, what they have is asked for.',
      'DC-46':
        'What is not understood is ignored. A change that is refused ends its connection and reaches neither log nor others. Who sends more than allowed is read more slowly, and loses nothing.',
      'DC-47': `For a connection that is not read at most ${mib(LIMITS.outboundBytes)} waits besides its opening; then it is closed with 1013.`,
      'DC-48': `A silent cut is seen within ${seconds(LIMITS.pingIntervalMs + LIMITS.pingTimeoutMs + 1_000)}; a connection hears something at least every ${seconds(LIMITS.yjsQuietMs)}.`,
      'DC-49': 'A server that stops closes these connections with 1013, spread over some seconds.',
    },
  },
];

export const PROJECT_RULES: readonly RuleGroup[] = [
  {
    title: 'Projects',
    rules: {
      'PJ-1':
        'Who is no member of a private project learns nothing of it: every operation on it is `not_found`, as of one that is deleted.',
      'PJ-2':
        'Viewers read; editors also write, and change name, description and settings; members, roles, invites, visibility, status and deletion are for the owner. Who has too small a role is `forbidden`.',
      'PJ-3':
        'A project has one owner. Making somebody else the owner makes the old one an editor; an owner who would leave hands over first, else it is a `conflict`.',
      'PJ-4':
        'Whoever is signed in may read and duplicate a public project; they see neither its members nor its settings, and can change nothing.',
      'PJ-5': `A change of members, roles or visibility takes effect on open connections on every server at once, and within ${seconds(LIMITS.headCompareMs)} also where the notice of it was lost.`,
      'PJ-6': `A socket hears the projects of its user from \`hello\` on: the ${LIMITS.projectsAtConnect} last changed by itself, others from \`project:get\` on.`,
      'PJ-7':
        'All members hear what changes in a project and who comes, goes and gets another role. Who is removed hears that too, and nothing after.',
      'PJ-8':
        'The list of projects shows the last changed first; status, part of the name and the star narrow it down.',
      'PJ-9': "A star is each member's own, and known on all of their devices.",
      'PJ-10':
        'A repeated `project:create`, `project:duplicate` or `project:invite` with the same `clientId` gets the first outcome.',
      'PJ-11': `A deleted project can be restored by its owner for ${LIMITS.restoreDays} days; then it goes for ever, with everything in it.`,
      'PJ-12':
        'The token of an invite is shown to who makes it and to nobody else, and stored as a hash. It lets in as many people as it has uses, each with its role, until it expires or is revoked.',
      'PJ-13':
        'A token that is unknown, expired, revoked or used up is `not_found`. Who was removed does not come back by an invite from before.',
      'PJ-14':
        'A copy has the files of the original and belongs to who made it; members, invites, stars and chats stay behind.',
      'PJ-15':
        'When an account ends its projects go to the longest-standing editor, else viewer; those of nobody else are removed.',
      'PJ-16':
        'Nobody sees a project before its first files are there; one whose creation was given up is removed within hours.',
      'PJ-17': 'A list goes on exactly where the page before ended.',
      'PJ-18': 'What concerns membership, invites, visibility and the end of a project is in the audit list.',
    },
  },
  {
    title: 'Files',
    rules: {
      'FL-1': `A path begins at its project and has forward slashes. It is kept as NFC; control characters, characters that change the direction of writing (they could hide what a name ends with), backslashes, empty parts, parts in which nothing can be seen, \`.\` and \`..\` are \`invalid\`, as are more than ${LIMITS.pathBytes} bytes of UTF-8, or ${LIMITS.pathSegmentBytes} in one part.`,
      'FL-2': 'Paths that differ in case only are one place.',
      'FL-3':
        'A place holds one file. What is in the way is a `conflict`: a file, a folder, a file where a folder is needed, or a folder that is written otherwise.',
      'FL-4': 'A file is in the language that its path suggests, unless somebody has said another.',
      'FL-5': 'A file is made once for each `clientId`, however often it is asked for; its text is there when it is.',
      'FL-6': `A text has at most ${mib(LIMITS.documentTextBytes)}; a longer one is \`too_large\`, and is uploaded as a blob. What a socket does not take (over ${mib(LIMITS.fileSocketBytes)}) is \`too_large\` naming the HTTP route that does.`,
      'FL-7':
        'A list has the files in the order of their paths, in which case does not count; with `under`, those in a folder at whatever depth.',
      'FL-8':
        'The tree is that of one moment: what changes together has changed all or not at all, whoever reads and on whatever server.',
      'FL-9':
        'A file is read by its id, or by its project and its path exactly as it is written. A deleted one is `not_found`.',
      'FL-10':
        'A new text changes what differs in the live document. It is durable when it is answered, and is told as `file:changed` once it is saved.',
      'FL-11':
        'Many files are written all or not at all: when one is refused, nothing has changed. A repetition with the same `clientId` has the first outcome and undoes nothing that was written since.',
      'FL-12': 'A file that moves keeps its id, its text and whoever has it open.',
      'FL-13':
        'A folder moves with everything in it. A folder that is there is not merged into, and none moves into itself.',
      'FL-14':
        'A deleted file is gone for everybody at once, and closed where it is open. Deleting it again changes nothing.',
      'FL-15': `For ${LIMITS.restoreDays} days a deleted file can be restored with its text and versions, and what was deleted together can be restored together. A place taken meanwhile is a \`conflict\`.`,
      'FL-16': 'After that it goes with everything that belongs to it.',
      'FL-17': 'What happens to files is told to all members, on whatever server they are.',
      'FL-18': `A change of more than ${LIMITS.fileEventsPerChange} files is told in one \`file:tree-changed\`.`,
      'FL-19':
        'Whoever may read a project reads its files, and its owner and editors change them. Everybody else is told `not_found`.',
      'FL-20':
        'Changes of one project are done one after another. One that was decided is finished whatever happens, before anybody sees a part of it.',
      'FL-21': "A file's history has the versions of its document, or those that are kept of a blob.",
      'FL-22': `A project has at most ${LIMITS.filesPerProject.toLocaleString('en-US')} files; more are \`quota_exceeded\`.`,
      'FL-23': `All files of the projects that a user owns, deleted ones among them, have at most ${mib(LIMITS.storageQuotaBytes)} together; more is \`quota_exceeded\`, whoever adds it.`,
      'FL-30':
        'A search finds a literal text, with line and column from 1 and the line around it; case counts only if asked for.',
      'FL-31': `A search reads at most ${mib(LIMITS.fileSearchBytes)} of text for at most ${seconds(LIMITS.fileSearchMs)}, and says when there may be more. It holds up nobody.`,
    },
  },
  {
    title: 'Files: contents that come and go',
    rules: {
      'FL-40': `What is uploaded is a text if it is valid UTF-8 without NUL of at most ${LIMITS.documentTextBytes / 1_048_576} MiB, else a blob. What is there gets it as its new text or version: a blob stays a blob, and onto a text nothing else is put (\`conflict\`).`,
      'FL-41': `In a form a file has at most ${LIMITS.fileBytes / 1_048_576} MiB, at an address ${LIMITS.projectFileBytes / 1_048_576} MiB. Of a refused or broken upload nothing is kept.`,
      'FL-42':
        'An address to upload to makes one file: sending again, or finishing again, gives the same. It serves for a quarter of an hour at most, and only while its user may write.',
      'FL-43':
        'A file is downloaded as it was uploaded: whole, in part, or not at all by whoever has it. A signed address serves one version, without a token, for at most an hour.',
      'FL-44':
        'What a browser could run is neither named nor shown: it is saved, as plain text or as unknown bytes. Nothing that is opened by itself may run or load anything.',
      'FL-45': `The last ${LIMITS.blobVersionsKept} versions of a blob are kept, can be read, and can be made the newest again.`,
      'FL-46':
        'A content that no version names any more is removed: with its file, its project, its owner, or an upload that came to nothing. A copied project shares its contents.',
      'FL-47':
        "Files count for the project's owner, with kept and uploading versions; together they never have more than the quota.",
    },
  },
  {
    title: 'Files: archives and snapshots',
    rules: {
      'FL-50':
        'An archive is read as archivers write it: stored or deflated, in the 64-bit form too; names that are UTF-8 are read so, whatever is said of them.',
      'FL-51':
        'Paths in an archive are held to the same rules as all others; links, devices, and two files of one place are `invalid`.',
      'FL-52':
        'What an archive says of a content has to be so: size, sum, place. Encrypted ones, and those packed otherwise than deflated, are `unsupported`.',
      'FL-53': `An archive has at most ${LIMITS.filesPerProject} files, and unpacks to at most ${LIMITS.zipRatio} times its size if that is much; no byte of it counts twice.`,
      'FL-54':
        'An archive is put into a project as a whole or not at all: new files, new texts in live documents, new versions. What is not in it stays.',
      'FL-55':
        'A project comes as one archive, as it is written, for whoever may read it; no part passes for the whole.',
      'FL-56':
        '`project:snapshot` copies all files to `users/{userId}/projects/{projectId}/{path}` with their content types, in place of the earlier one, and says where they can be read.',
      'FL-57': '`project:restore-snapshot` writes them back, all or none, as edits that everyone sees.',
    },
  },
];
