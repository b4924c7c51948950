"""Does to a PKCS#11 token what needs no PIN: a read-write public session, without a login.

attacker.py MODULE TOKEN data APPLICATION LABEL VALUE      a data object, CKA_PRIVATE false
attacker.py MODULE TOKEN certificate LABEL ID-HEX DER-HEX  a certificate
attacker.py MODULE TOKEN publickey LABEL ID-HEX            an RSA public key
attacker.py MODULE TOKEN ecpublickey LABEL ID-HEX          a public key on P-256
attacker.py MODULE TOKEN pair LABEL ID-HEX                 an RSA key pair, made in the token, CKA_PRIVATE false
attacker.py MODULE TOKEN private LABEL ID-HEX              the same with CKA_PRIVATE true, which must be refused
attacker.py MODULE TOKEN destroy CLASS ID-HEX              all public objects of that class: certificate or publickey
attacker.py MODULE TOKEN protect CLASS ID-HEX              tries to make public objects private, by copying and changing
"""
import ctypes
import sys

ULONG = ctypes.c_ulong
CLASSES = {'data': 0, 'certificate': 1, 'publickey': 2, 'privatekey': 3}
CKA = {'CLASS': 0, 'TOKEN': 1, 'PRIVATE': 2, 'LABEL': 3, 'APPLICATION': 0x10, 'VALUE': 0x11, 'CERTIFICATE_TYPE': 0x80,
       'KEY_TYPE': 0x100, 'SUBJECT': 0x101, 'ID': 0x102, 'SENSITIVE': 0x103, 'SIGN': 0x108, 'VERIFY': 0x10A,
       'MODULUS': 0x120, 'MODULUS_BITS': 0x121, 'PUBLIC_EXPONENT': 0x122, 'EXTRACTABLE': 0x162, 'EC_PARAMS': 0x180,
       'EC_POINT': 0x181}
P256 = bytes.fromhex('06082a8648ce3d030107')
# The generator of P-256 (SEC 2 section 2.4.2): a point on the curve like any other.
POINT = bytes.fromhex('0441046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'
                      '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5')


class Attribute(ctypes.Structure):
    _fields_ = [('type', ULONG), ('value', ctypes.c_void_p), ('length', ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [('mechanism', ULONG), ('parameter', ctypes.c_void_p), ('length', ULONG)]


def template(**attributes):
    """The attributes as Cryptoki takes them, and what keeps their values alive."""
    values = []
    for value in attributes.values():
        if isinstance(value, bool):
            values.append(ctypes.create_string_buffer(bytes([value]), 1))
        elif isinstance(value, int):
            values.append(ctypes.create_string_buffer(value.to_bytes(ctypes.sizeof(ULONG), sys.byteorder)))
            values[-1] = ctypes.create_string_buffer(values[-1].raw[:-1], ctypes.sizeof(ULONG))
        else:
            octets = value.encode() if isinstance(value, str) else value
            values.append(ctypes.create_string_buffer(octets, len(octets)))
    entries = (Attribute * len(values))(*[
        Attribute(CKA[name], ctypes.cast(value, ctypes.c_void_p), ctypes.sizeof(value))
        for name, value in zip(attributes, values)])
    return entries, values


class Refused(Exception):
    """A call into the module failed."""


class Token:
    """A public session with the token of that label."""

    def __init__(self, module, label):
        self.module = ctypes.CDLL(module)
        self.call('C_Initialize', None)
        count = ULONG(0)
        self.call('C_GetSlotList', ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ULONG * count.value)()
        self.call('C_GetSlotList', ctypes.c_ubyte(1), slots, ctypes.byref(count))
        for slot in slots:
            info = ctypes.create_string_buffer(512)
            self.call('C_GetTokenInfo', ULONG(slot), info)
            if info.raw[:32].decode().rstrip() == label:
                break
        else:
            raise Refused(f'no token {label}')
        self.session = ULONG(0)
        self.call('C_OpenSession', ULONG(slot), ULONG(6), None, None, ctypes.byref(self.session))

    def call(self, name, *arguments):
        answer = getattr(self.module, name)(*arguments)
        if answer != 0:
            raise Refused(f'{name}: {answer:#x}')

    def create(self, **attributes):
        entries, _values = template(TOKEN=True, **attributes)
        handle = ULONG(0)
        self.call('C_CreateObject', self.session, entries, ULONG(len(entries)), ctypes.byref(handle))

    def generate(self, label, identity, private):
        public, _one = template(TOKEN=True, PRIVATE=False, LABEL=label, ID=identity, VERIFY=True, MODULUS_BITS=2048,
                                PUBLIC_EXPONENT=b'\x01\x00\x01')
        secret, _two = template(TOKEN=True, PRIVATE=private, LABEL=label, ID=identity, SIGN=True, SENSITIVE=True,
                                EXTRACTABLE=False)
        handles = ULONG(0), ULONG(0)
        self.call('C_GenerateKeyPair', self.session, ctypes.byref(Mechanism(0, None, 0)), public, ULONG(len(public)),
                  secret, ULONG(len(secret)), ctypes.byref(handles[0]), ctypes.byref(handles[1]))

    def find(self, kind, identity):
        entries, _values = template(CLASS=CLASSES[kind], ID=identity)
        self.call('C_FindObjectsInit', self.session, entries, ULONG(len(entries)))
        handles, count = (ULONG * 64)(), ULONG(0)
        self.call('C_FindObjects', self.session, handles, ULONG(64), ctypes.byref(count))
        self.call('C_FindObjectsFinal', self.session)
        if count.value == 0:
            raise Refused(f'no {kind} with CKA_ID {identity.hex()}')
        return handles[:count.value]

    def destroy(self, kind, identity):
        for handle in self.find(kind, identity):
            self.call('C_DestroyObject', self.session, ULONG(handle))

    def protect(self, kind, identity):
        private, _values = template(PRIVATE=True)
        for handle in self.find(kind, identity):
            for name, result in (('C_CopyObject', [ctypes.byref(ULONG(0))]), ('C_SetAttributeValue', [])):
                try:
                    self.call(name, self.session, ULONG(handle), private, ULONG(1), *result)
                    print(f'{name}: done')
                except Refused as refused:
                    print(refused)


def main(module, label, act, *rest):
    token = Token(module, label)
    if act == 'data':
        application, name, value = rest
        token.create(CLASS=CLASSES['data'], PRIVATE=False, APPLICATION=application, LABEL=name, VALUE=value)
    elif act == 'certificate':
        name, identity, der = rest[0], bytes.fromhex(rest[1]), bytes.fromhex(rest[2])
        token.create(CLASS=CLASSES['certificate'], PRIVATE=False, CERTIFICATE_TYPE=0, LABEL=name, ID=identity,
                     SUBJECT=bytes.fromhex('3000'), VALUE=der)
    elif act == 'publickey':
        token.create(CLASS=CLASSES['publickey'], PRIVATE=False, KEY_TYPE=0, LABEL=rest[0], ID=bytes.fromhex(rest[1]),
                     MODULUS=b'\xc1' * 256, PUBLIC_EXPONENT=b'\x01\x00\x01')
    elif act == 'ecpublickey':
        token.create(CLASS=CLASSES['publickey'], PRIVATE=False, KEY_TYPE=3, LABEL=rest[0], ID=bytes.fromhex(rest[1]),
                     EC_PARAMS=P256, EC_POINT=POINT)
    elif act in ('pair', 'private'):
        token.generate(rest[0], bytes.fromhex(rest[1]), act == 'private')
    elif act in ('destroy', 'protect'):
        getattr(token, act)(rest[0], bytes.fromhex(rest[1]))
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    try:
        main(*sys.argv[1:])
    except Refused as reason:
        sys.exit(str(reason))
