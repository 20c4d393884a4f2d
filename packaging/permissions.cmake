# Read by cpack between installing and packing. CMake makes folders as the umask says, whatever
# CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS is: under 077 only root could enter those of the package.
file(CHMOD_RECURSE ${CPACK_TEMPORARY_INSTALL_DIRECTORY} DIRECTORY_PERMISSIONS
     OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
