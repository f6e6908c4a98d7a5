/** One function for each operation of clients without Yjs. */
import { connectionOf, Fault, LIMITS, type Handlers } from '../../protocol/index.ts';
import type { Documents, FileAccess } from './documents.ts';
import { placeEdits, type JsonEdit } from './json-edits.ts';
import type { plainOperations } from './plain-operations.ts';
import { seenText, stateOf } from './seen-text.ts';
import { splice } from './text-splice.ts';
import type { WatchPresence } from './watch-presence.ts';
import type { Watchers } from './watchers.ts';

export interface PlainHandlersDeps {
  documents: Pick<Documents, 'change'>;
  access: FileAccess;
  watchers: Watchers;
  presence: Pick<WatchPresence, 'move'>;
}

export function createPlainHandlers(deps: PlainHandlersDeps): Handlers<typeof plainOperations> {
  const { documents, access, watchers, presence } = deps;
  return {
    async 'file:edit'({ fileId, edits, stateVector }, { session, release }) {
      const { userId } = session;
      const granted = await access(fileId, userId);
      if (granted.access !== 'write') throw new Fault('forbidden', 'You may only read this file');
      const changed = documents.change(fileId, userId, (text, doc) => {
        const seen = seenText(doc, stateVector);
        assertAffordable(edits, seen.text);
        splice(text, placeEdits(seen, edits));
        return stateOf(doc);
      });
      release();
      return { stateVector: await changed };
    },

    async 'cursor:move'({ fileId, index, head }, context) {
      const connectionId = connectionOf(context);
      watchers.assertWatching(connectionId, fileId);
      await presence.move(fileId, connectionId, index, head ?? index);
      return {};
    },

    async 'doc:watch'({ fileId }, context) {
      return watchers.watch({ id: connectionOf(context), userId: context.session.userId }, fileId);
    },

    async 'doc:unwatch'({ fileId }, context) {
      watchers.unwatch(connectionOf(context), fileId);
      return {};
    },
  };
}

/** Each `find` reads the whole text, and nobody else is served meanwhile. */
function assertAffordable(edits: readonly JsonEdit[], text: string): void {
  const finds = edits.filter((edit) => 'find' in edit).length;
  if (finds * text.length > LIMITS.editSearchChars) {
    throw new Fault('too_large', 'So much cannot be searched for in a text of this size at once');
  }
}
