#!/bin/sh
# A key helper over the Secret Service (GNOME Keyring, KWallet): needs `secret-tool` of libsecret.
# docs/key-stores.md says what it is asked, and what it answers.
set -eu
while IFS='=' read -r name value && [ -n "$name" ]; do
  case $name in
    vault | id | secret) eval "$name=\$value" ;;
  esac
done
case $1 in
  store)
    printf '%s' "$secret" | secret-tool store --label="Blindcopy vault $vault" \
      application blindcopy vault "$vault" id "$id"
    ;;
  get)
    found=$(secret-tool lookup application blindcopy vault "$vault" id "$id" || true)
    if [ -n "$found" ]; then printf 'secret=%s\n' "$found"; fi
    ;;
  erase) secret-tool clear application blindcopy vault "$vault" id "$id" || true ;;
  *) exit 2 ;;
esac
