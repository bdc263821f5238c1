#!/bin/sh
# A key helper over the macOS login keychain: needs nothing but `security`, which is part of macOS.
# docs/key-stores.md says what it is asked, and what it answers.
set -eu
while IFS='=' read -r name value && [ -n "$name" ]; do
  case $name in
    vault | id | secret) eval "$name=\$value" ;;
  esac
done
account="$vault.$id"
case $1 in
  # By its interactive mode, so that the secret stands in no list of processes.
  store)
    printf 'add-generic-password -U -s blindcopy -a %s -w %s\n' "$account" "$secret" |
      security -i >/dev/null
    ;;
  get)
    found=$(security find-generic-password -s blindcopy -a "$account" -w 2>/dev/null || true)
    if [ -n "$found" ]; then printf 'secret=%s\n' "$found"; fi
    ;;
  erase) security delete-generic-password -s blindcopy -a "$account" >/dev/null 2>&1 || true ;;
  *) exit 2 ;;
esac
