/** A chat as a file to keep, written page by page: never the whole in memory. */
import type { ChatLog } from './chat-log.ts';
import { toMessage, type ViewAttachment } from './entry.ts';
import type { ChatRecord } from './model.ts';
import type { Message } from './shapes.ts';

export type ExportFormat = 'json' | 'markdown';

export interface ExportDeps {
  log: Pick<ChatLog, 'messages'>;
  viewAttachment: ViewAttachment;
  /** Names of users, by id. */
  nameOf: (userIds: readonly string[]) => Promise<Map<string, string>>;
  now: () => number;
  /** Asked before each page: rejects when the reader may not go on. */
  check: () => Promise<unknown>;
}

const PAGE = 200;

/** The file's text, in pieces; ends early when the signal aborts. */
export async function* exportChat(
  chat: ChatRecord,
  memberIds: readonly string[],
  format: ExportFormat,
  signal: AbortSignal,
  deps: ExportDeps,
): AsyncGenerator<string> {
  const names = await deps.nameOf(memberIds);
  const exportedAt = new Date(deps.now()).toISOString();
  const write = format === 'json' ? jsonWriter : markdownWriter;
  const { begin, piece, end } = write({
    id: chat._id.toHexString(),
    kind: chat.kind,
    name: chat.name ?? 'Chat',
    exportedAt,
    members: memberIds.map((id) => ({ id, name: names.get(id) ?? '' })),
  });
  yield begin;
  for (let after = 0; !signal.aborted;) {
    await deps.check();
    const page = (await deps.log.messages(chat._id, { after, limit: PAGE })).map((entry) =>
      toMessage(entry, deps.viewAttachment),
    );
    // Who wrote and has left.
    const unknown = new Set(page.flatMap(({ sender }) => sender.userId ?? []).filter((id) => !names.has(id)));
    for (const [id, name] of await deps.nameOf([...unknown])) names.set(id, name);
    if (page.length > 0) yield page.map((message) => piece(message, senderOf(message, names))).join('');
    const last = page.at(-1);
    if (page.length < PAGE || !last) break;
    after = last.seq;
  }
  if (!signal.aborted) yield end;
}

interface Head {
  id: string;
  kind: string;
  name: string;
  exportedAt: string;
  members: { id: string; name: string }[];
}

interface Writer {
  begin: string;
  piece: (message: Message, sender: string) => string;
  end: string;
}

function jsonWriter({ exportedAt, members, ...chat }: Head): Writer {
  let separator = '\n';
  return {
    begin: `${JSON.stringify({ chat, exportedAt, members }).slice(0, -1)},"messages":[`,
    piece(message, senderName) {
      // Addresses of uploads are good for an hour only.
      const attachments = message.attachments.map(({ id, kind, name, mime, sizeBytes }) => {
        return { id, kind, name, mime, sizeBytes };
      });
      const text = `${separator}${JSON.stringify({ ...message, senderName, attachments })}`;
      separator = ',\n';
      return text;
    },
    end: '\n]}\n',
  };
}

function markdownWriter({ name, exportedAt, members }: Head): Writer {
  const people = members.map((member) => plain(member.name)).join(', ');
  return {
    begin: `# ${plain(name)}\n\nMembers: ${people}. Exported ${timeOf(exportedAt)}.\n`,
    piece: (message, sender) =>
      `\n**${plain(sender)}**, ${timeOf(message.createdAt)}${message.editedAt ? ' (edited)' : ''}:\n\n${bodyOf(message)}\n`,
    end: '',
  };
}

function bodyOf(message: Message): string {
  if (message.deletedAt) return '_deleted_';
  if (message.type === 'encrypted') return '_encrypted_';
  const files = message.attachments.map((file) => `> _${file.kind}: ${plain(file.name)}_`);
  // As a quotation, whatever it holds: it cannot pass for another message.
  const lines =
    message.content === '' ? [] : message.content.split(/\r\n|[\n\r\u2028\u2029]/).map((line) => `> ${line}`);
  return [...lines, ...files].join('\n');
}

function senderOf({ sender }: Message, names: ReadonlyMap<string, string>): string {
  if (sender.type !== 'user') return sender.type === 'assistant' ? 'Assistant' : 'System';
  return names.get(sender.userId ?? '') ?? 'Deleted user';
}

/** On one line, without a meaning in Markdown. */
const plain = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll(/[\\`*_[\]<>#|~]/g, String.raw`\$&`);
const timeOf = (time: string): string => `${time.slice(0, 10)} ${time.slice(11, 16)} UTC`;
