/**
 * System records: those of collections that apps cannot name, such as the registration token. They
 * sync, conflict and are refused like any other, and are nothing to show to anybody.
 */
const RESERVED_PREFIX = '$'

export const isOfSystem = ({ collection }: { readonly collection: string }): boolean =>
  collection.startsWith(RESERVED_PREFIX)
