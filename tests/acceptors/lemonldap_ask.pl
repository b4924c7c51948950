# Runs LemonLDAP::NG's portal and asks its token endpoint. Reads one form a line (JSON), writes { status, answer } a line.
use strict;
use warnings;
use HTTP::Request::Common qw(POST);
use JSON qw(decode_json encode_json);
use Lemonldap::NG::Portal::Main;
use Plack::Test;

$| = 1;
my $portal = Plack::Test->create( Lemonldap::NG::Portal::Main->run( {} ) );
print encode_json( { version => $Lemonldap::NG::Portal::Main::VERSION } ), "\n";
while ( my $line = <STDIN> ) {
    my $reply = $portal->request(
        POST 'http://auth.example.com/oauth2/token',
        Accept  => 'application/json',
        Content => decode_json($line)
    );
    print encode_json( { status => $reply->code, answer => $reply->decoded_content } ), "\n";
}
