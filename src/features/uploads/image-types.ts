/** Formats that every browser shows and that cannot carry scripts. */
const IMAGE_TYPES: ReadonlySet<string> = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);

export const isImageType = (type: string | undefined): type is string => type !== undefined && IMAGE_TYPES.has(type);

/** The beginning of a file, by which its type is told. */
export const TYPE_BYTES = 4_100;
