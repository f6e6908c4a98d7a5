/** What a blob's content has to be: the same in every form. */

const CONTENT_TYPE_CHARACTERS = 200;

/** A `TypeError` unless it is short and plain. */
export function checkContentType(contentType: string): void {
  if (!/^[\u0020-\u007e]+$/.test(contentType) || contentType.length > CONTENT_TYPE_CHARACTERS) {
    throw new TypeError('Not a content type');
  }
}

export const wrongSize = (): Error => new Error('The content has not the size given');

/** A value of Content-Disposition: with a plain name for old clients, and the whole one. */
export function dispositionOf(how: 'inline' | 'attachment', fileName: string): string {
  const plain = fileName.replaceAll(/[^\u0020-\u007e]|["\\%]/g, '_');
  const whole = encodeURIComponent(fileName).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${how}; filename="${plain}"; filename*=UTF-8''${whole}`;
}
