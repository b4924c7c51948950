#!/bin/sh
# Gets an access token with a client assertion of assertiond's, and prints the identity server's answer.
# usage: client.sh CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]      with $ASSERTIOND_SERVER unix:/path
# AUDIENCE: one of the client's; default: its first.
set -eu
assertion=$(assertionctl assertion create --client-id "$1" ${3:+--audience "$3"})
# Through standard input: a command line can be read by every user of the machine.
printf %s "$assertion" | curl --silent --show-error --fail-with-body --max-time 10 --data-urlencode client_assertion@- \
  --data client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
  --data grant_type=client_credentials --data-urlencode client_id="$1" "$2"
