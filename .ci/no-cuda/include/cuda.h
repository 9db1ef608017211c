/* Where this file is, the toolkit is looked for. */
