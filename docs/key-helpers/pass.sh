#!/bin/sh
# A key helper over pass (https://www.passwordstore.org), whose entries GnuPG seals: needs `pass`.
# docs/key-stores.md says what it is asked, and what it answers.
set -eu
umask 077
while IFS='=' read -r name value && [ -n "$name" ]; do
  case $name in
    vault | id | secret) eval "$name=\$value" ;;
  esac
done
entry="blindcopy/$vault/$id"
case $1 in
  store) printf '%s\n' "$secret" | pass insert --force --multiline "$entry" >/dev/null ;;
  get)
    if pass ls "$entry" >/dev/null 2>&1; then printf 'secret=%s\n' "$(pass show "$entry")"; fi
    ;;
  erase) if pass ls "$entry" >/dev/null 2>&1; then pass rm --force "$entry" >/dev/null; fi ;;
  *) exit 2 ;;
esac
