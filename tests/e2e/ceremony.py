"""Makes a key pair as a key ceremony does: with the user's PIN, and by other means than assertiond.

ceremony.py MODULE TOKEN LABEL ID-HEX rsa|ec [NAME=0|1 ...]   attributes of the private key that differ, for example
                                                              MODIFIABLE=0; $E2E_PIN is the PIN
"""
import ctypes
import os
import sys

from attacker import CKA, P256, ULONG, Mechanism, Refused, Token, template

CKA.update(DECRYPT=0x105, UNWRAP=0x107, SIGN_RECOVER=0x109, DERIVE=0x10C, MODIFIABLE=0x170, DESTROYABLE=0x172)
SIGNS_ONLY = {'PRIVATE': True, 'SENSITIVE': True, 'EXTRACTABLE': False, 'SIGN': True, 'DECRYPT': False, 'UNWRAP': False,
              'DERIVE': False, 'SIGN_RECOVER': False}
KINDS = {'rsa': (0x0000, {'MODULUS_BITS': 2048, 'PUBLIC_EXPONENT': b'\x01\x00\x01'}),
         'ec': (0x1040, {'EC_PARAMS': P256})}


def main(module, token_label, label, identity, kind, *changes):
    token = Token(module, token_label)
    pin = os.environ['E2E_PIN'].encode()
    token.call('C_Login', token.session, ULONG(1), pin, ULONG(len(pin)))
    mechanism, public_attributes = KINDS[kind]
    changed = {name: value == '1' for name, value in (change.split('=') for change in changes)}
    names = {'TOKEN': True, 'LABEL': label, 'ID': bytes.fromhex(identity)}
    public, _one = template(**names, PRIVATE=False, VERIFY=True, **public_attributes)
    secret, _two = template(**names, **(SIGNS_ONLY | changed))
    handles = ULONG(0), ULONG(0)
    token.call('C_GenerateKeyPair', token.session, ctypes.byref(Mechanism(mechanism, None, 0)), public,
               ULONG(len(public)), secret, ULONG(len(secret)), ctypes.byref(handles[0]), ctypes.byref(handles[1]))


try:
    main(*sys.argv[1:])
except Refused as refused:
    sys.exit(str(refused))
