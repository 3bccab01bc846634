// The size of templates, apart from their compiler: those that only read a file of one need not load it.

/** Bytes of a template's text. */
export const TEMPLATE_BYTES_MAX = 65_536;
