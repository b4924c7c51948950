"""The protos as protoc reads them, with their comments."""
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

DIRECTORY = pathlib.Path(__file__).resolve().parents[2] / 'proto'


def read(directory=DIRECTORY):
    """Returns a FileDescriptorSet of the protos and everything that they import, in the order of their imports."""
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob('*.proto'))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, 'descriptors')
        command = ['protoc', f'--proto_path={directory}', '--include_imports', '--include_source_info',
                   f'--descriptor_set_out={out}', *files]
        try:
            subprocess.run(command, check=True)
        except FileNotFoundError:
            sys.exit('protoc is not installed: apt-get install protobuf-compiler')
        except subprocess.CalledProcessError:
            sys.exit(f'protoc cannot read the protos in {directory}')
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
