/** REST's one envelope, around everything but documents, streams, images and probes. */
import type { Response } from 'express';
import { STATUS_BY_CODE, type Answer, type Fault } from '../protocol/index.ts';

/** Sends an operation's answer; `flat` carries data's fields at top level too. Does nothing when the client is gone. */
export function sendAnswer(response: Response, answer: Answer<unknown>, flat = false): void {
  if (response.headersSent || response.destroyed) return;
  if (answer.ok) {
    const fields = flat && typeof answer.data === 'object' ? answer.data : {};
    response.status(200).json({ ...fields, type: 'success', message: 'OK', data: answer.data });
    return;
  }
  const { error } = answer;
  if (error.code === 'rate_limited' && error.retryAfterMs !== undefined) {
    response.set('Retry-After', String(Math.ceil(error.retryAfterMs / 1000)));
  }
  response.status(STATUS_BY_CODE[error.code]).json({ type: 'error', message: error.message, error });
}

export const sendFault = (response: Response, fault: Fault): void =>
  sendAnswer(response, { ok: false, error: fault.toBody() });
