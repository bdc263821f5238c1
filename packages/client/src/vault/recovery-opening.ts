/**
 * Recovery opening: what reads key files and shares, apart so that an app downloads it when
 * somebody has one.
 */
export { combineShares, decodeRecoveryFile } from '@blindcopy/vault'
