/**
 * One text file on both sides. The row of the file is stored first, and the live document and the disk then follow what
 * it says; so each method may end at any point and be called again with the row that is stored.
 */
import { LIMITS } from '../../protocol/index.ts';
import { isWellFormed, type TextDiffer } from '../documents/index.ts';
import { AGREED, type BaseRecord, type BaseStore, type Step } from './base-record.ts';
import { decodeText, encodeText, hashOf } from './disk-text.ts';
import type { DiskFile, LiveTexts, WorkspaceDisk } from './ports.ts';
import { bytesTogether, editState, hasAllOf, textOfState } from './shadow.ts';

export interface TextSyncDeps {
  disk: Pick<WorkspaceDisk, 'stage'>;
  live: LiveTexts;
  store: Pick<BaseStore, 'save'>;
  differ: Pick<TextDiffer, 'diff'>;
  newId: () => string;
}

export class TextSync {
  readonly #deps: TextSyncDeps;

  constructor(deps: TextSyncDeps) {
    this.#deps = deps;
  }

  /**
   * What the disk has becomes an edit of the document, against the text that both had. A step that is under way stays.
   * Undefined where no document can have it: no text, or too large together with what people wrote meanwhile.
   */
  async merge(record: BaseRecord, file: DiskFile): Promise<BaseRecord | undefined> {
    const { live, store, differ } = this.#deps;
    const found = decodeText(file.bytes, record.eol);
    if (!found) return undefined;
    const splices = await differ.diff(textOfState(record.state), found.text);
    const agreed = { ...record, hash: file.hash, eol: found.eol };
    if (splices.length === 0) return store.save(agreed);
    const { state, update, client } = editState(record.state, splices, record.client);
    if (!(await this.#hasRoom(record.fileId, update, found.text))) return undefined;
    const step: Step = record.step.kind === 'flushing' ? { ...record.step, hasMerged: true } : { kind: 'merging' };
    const stored = await store.save({ ...agreed, state, client, step });
    await live.merge(record.fileId, update);
    return step.kind === 'merging' ? store.save({ ...stored, step: AGREED }) : stored;
  }

  /** The live document gets what the row has and it may lack. */
  async catchUp(record: BaseRecord): Promise<void> {
    await this.#deps.live.merge(record.fileId, record.state);
  }

  /** Whether people have written what the disk does not have. */
  async hasNews(record: BaseRecord): Promise<boolean> {
    return differs(await this.#deps.live.state(record.fileId), record.state);
  }

  /** Stages the live text and announces it; undefined where the disk has it already. */
  async stage(record: BaseRecord): Promise<BaseRecord | undefined> {
    const { disk, live, store, newId } = this.#deps;
    const state = await live.state(record.fileId);
    if (record.hash !== undefined && !differs(state, record.state)) return undefined;
    const bytes = encodeText(textOfState(state), record.eol);
    const id = newId();
    await disk.stage(id, bytes, record.path);
    return store.save({ ...record, step: { kind: 'flushing', id, hash: hashOf(bytes), state, hasMerged: false } });
  }

  /** What was staged is on the disk. */
  async staged(record: BaseRecord, { hash, state }: Step & { kind: 'flushing' }): Promise<BaseRecord> {
    // The state may be older than what the disk brought meanwhile: its client's clock would begin again.
    const mayGoOn = record.client !== undefined && hasAllOf(record.client, state, record.state);
    return this.#deps.store.save({
      ...record,
      hash,
      state,
      client: mayGoOn ? record.client : undefined,
      step: AGREED,
    });
  }

  /** Whether the document can have the update; asked before it is announced, for then it has to come. */
  async #hasRoom(fileId: string, update: Uint8Array, text: string): Promise<boolean> {
    const state = await this.#deps.live.state(fileId);
    // A state is no smaller than its text, and together they have no more than the sum.
    if (state.length + Buffer.byteLength(text) <= LIMITS.documentTextBytes) return true;
    return bytesTogether(state, update) <= LIMITS.documentTextBytes;
  }
}

/** Halves of surrogate pairs are no difference: bytes cannot have them. */
function differs(a: Uint8Array, b: Uint8Array): boolean {
  const [left, right] = [textOfState(a), textOfState(b)];
  if (left === right) return false;
  if (isWellFormed(left) && isWellFormed(right)) return true;
  return !Buffer.from(left).equals(Buffer.from(right));
}
