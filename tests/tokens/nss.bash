# An NSS database in DIR/database. Sourced by nss.sh and nss_p11kit.sh.
softokn=$libraries/libsoftokn3.so
nss_label='NSS%20Certificate%20DB'   # its own name for the database

make_nss() {   # sets nss_parameters
  needs_command certutil libnss3-tools
  needs_file "$softokn" libnss3
  mkdir "$dir/database"
  set_pin "$(random_digits 16)"
  quietly certutil -N -d "sql:$dir/database" -f "$dir/pin"
  nss_parameters="configdir='sql:$dir/database' certPrefix='' keyPrefix='' secmod=''"
}
