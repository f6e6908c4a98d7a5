/** All messages of a chat, page by page, as a client reads them. */
import type { AtelierClient, Message } from '../../src/client/index.ts';

export async function historyOf(client: AtelierClient, chatId: string): Promise<Message[]> {
  const all: Message[] = [];
  for (;;) {
    const { items } = await client.call('message:list', { chatId, after: all.at(-1)?.seq ?? 0, limit: 100 });
    all.push(...items);
    if (items.length < 100) return all;
  }
}
