/** What may be known of a service's failure: enough to find it in its logs, nothing that it or the caller wrote. */
import { Fault } from '../../protocol/index.ts';

export interface UpstreamFailure {
  /** HTTP status; undefined when there was no answer. */
  status?: number | undefined;
  /** The service's own name for the kind of error, as `overloaded_error`. */
  type?: string | undefined;
  requestId?: string | undefined;
  /** How long the service asks to wait, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** The service says itself whether another attempt makes sense. */
  shouldRetry?: boolean | undefined;
}

/** A failed attempt; an adapter decides by it whether to try again, and turns it into a Fault at the end. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly failure: UpstreamFailure;

  constructor(service: string, failure: UpstreamFailure) {
    const { status, type, requestId } = failure;
    super([service, status, type, requestId].filter((part) => part !== undefined).join(' '));
    this.failure = failure;
  }

  /** Whether the same request may do better later. */
  get transient(): boolean {
    const { status, shouldRetry } = this.failure;
    return shouldRetry ?? (status === undefined || status === 429 || status >= 500);
  }

  toFault(): Fault {
    return new Fault('upstream', sentenceFor(this.failure.status), { cause: this });
  }
}

function sentenceFor(status: number | undefined): string {
  switch (status) {
    case undefined:
      return 'The AI service broke off its answer';
    case 401:
    case 403:
      return 'The AI service does not accept our credentials';
    case 404:
      return 'The AI service does not know this model';
    case 402:
      return 'The AI service wants to be paid first';
    case 413:
      return 'The conversation is too long for the AI service';
    case 429:
    case 529:
      return 'The AI service is busy; try again later';
    default:
      return status >= 500 ? 'The AI service has failed' : 'The AI service refused the request';
  }
}
